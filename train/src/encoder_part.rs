//! Which parameters of a pretraining model make features.

/// What their names begin with in a checkpoint.
const ENCODER_PARTS: [&str; 4] = ["tokenizer.", "positional_encoding.", "student.", "point_modality"];

/// Whether a parameter makes features; those of averages and predictors have other names.
pub(crate) fn is_of_pretrained_encoder(name: &str) -> bool {
    ENCODER_PARTS.iter().any(|part| name.starts_with(part))
}
