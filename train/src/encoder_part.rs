//! Which parameters are an encoder's, in pretraining and below a head.

use crate::nn::NamedTensors;

/// Names of the transformer below a head, and outside of this tool, begin with this.
pub(crate) const TRANSFORMER: &str = "encoder.";
/// Names of the transformer in pretraining begin with this.
pub(crate) const PRETRAINED_TRANSFORMER: &str = "student.";
/// Names of the head that answers for whole clouds begin with this and a dot.
pub(crate) const WHOLE_HEAD: &str = "whole_head";
/// What the names of all else that makes features begin with, everywhere.
const BESIDE_TRANSFORMER: [&str; 4] = ["tokenizer.", "positional_encoding.", "point_modality", "whole_head."];

fn is_named(name: &str, transformer: &str) -> bool {
    name.starts_with(transformer) || BESIDE_TRANSFORMER.iter().any(|part| name.starts_with(part))
}

/// Whether a parameter of a model with a head is one of the encoder.
pub(crate) fn is_of_encoder(name: &str) -> bool {
    is_named(name, TRANSFORMER)
}

/// Whether a parameter of a pretraining model makes features; those of averages and predictors have other names.
pub(crate) fn is_of_pretrained_encoder(name: &str) -> bool {
    is_named(name, PRETRAINED_TRANSFORMER)
}

/// The tensors of a pretrained encoder under the names that they have below a head.
pub(crate) fn rename_encoder(tensors: NamedTensors) -> NamedTensors {
    let renamed = tensors.into_iter().map(|(name, tensor)| match name.strip_prefix(PRETRAINED_TRANSFORMER) {
        Some(rest) => (format!("{TRANSFORMER}{rest}"), tensor),
        None => (name, tensor),
    });
    renamed.filter(|(name, _)| is_of_encoder(name)).collect()
}
