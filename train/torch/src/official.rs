//! The names, shapes and element types of the official pretraining state dictionary, for any sizes.
//!
//! Ayumu-J-S/Point-JEPA, `pointjepa/models/pointjepa.py`: what `Model.state_dict()` holds. Our own
//! checkpoints use the same names, without `teacher.online_model.*`, which is `student.*` again.

use serde::Serialize;

use crate::state::{ElementType, StateDict};

/// The sizes of a Point-JEPA model, as its tensors tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PointJepaSizes {
    /// Width D of the encoder.
    pub width: usize,
    /// Encoder blocks.
    pub depth: usize,
    /// Hidden width of the encoder's MLPs.
    pub mlp: usize,
    /// Hidden width of the encoder's position MLP.
    pub position: usize,
    /// Widths of the tokenizer's hidden layers: first, second (before the concatenation), third.
    pub tokenizer: [usize; 3],
    /// Width P of the predictor.
    pub predictor_width: usize,
    /// Predictor blocks.
    pub predictor_depth: usize,
    /// Hidden width of the predictor's MLPs.
    pub predictor_mlp: usize,
    /// Hidden width of the predictor's position MLP.
    pub predictor_position: usize,
}

impl PointJepaSizes {
    /// The model of the paper: 12 blocks of width 384, predictor 6 of 192.
    pub(crate) const OFFICIAL: Self = Self {
        width: 384,
        depth: 12,
        mlp: 1536,
        position: 128,
        tokenizer: [128, 256, 512],
        predictor_width: 192,
        predictor_depth: 6,
        predictor_mlp: 768,
        predictor_position: 128,
    };

    /// Reads the sizes off the tensors, those of the encoder below `encoder`; the official one where the tensor that tells it is missing.
    pub(crate) fn read(state: &StateDict, encoder: &str) -> Self {
        let tokenizer = "tokenizer.embedding.encoder";
        let rows = |name: &str, official: usize| {
            state.get(name).and_then(|tensor| tensor.shape.first()).copied().unwrap_or(official)
        };
        let official = Self::OFFICIAL;
        Self {
            width: rows(&format!("{encoder}norm.weight"), official.width),
            depth: count_blocks(state, &format!("{encoder}blocks.")).unwrap_or(official.depth),
            mlp: rows(&format!("{encoder}blocks.0.mlp.fc1.weight"), official.mlp),
            position: rows("positional_encoding.0.weight", official.position),
            tokenizer: [
                rows(&format!("{tokenizer}.first_conv.0.weight"), official.tokenizer[0]),
                rows(&format!("{tokenizer}.first_conv.3.weight"), official.tokenizer[1]),
                rows(&format!("{tokenizer}.second_conv.0.weight"), official.tokenizer[2]),
            ],
            predictor_width: rows("predictor.predictor_embed.weight", official.predictor_width),
            predictor_depth: count_blocks(state, "predictor.predictor.blocks.")
                .unwrap_or(official.predictor_depth),
            predictor_mlp: rows("predictor.predictor.blocks.0.mlp.fc1.weight", official.predictor_mlp),
            predictor_position: rows("predictor.positional_encoding.0.weight", official.predictor_position),
        }
    }
}

/// One more than the highest block whose name begins with `prefix`.
fn count_blocks(state: &StateDict, prefix: &str) -> Option<usize> {
    let number = |name: &String| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
    // A number beyond any model would ask for a list beyond any memory.
    state.keys().filter_map(number).filter(|&block| block < state.len()).max().map(|block| block + 1)
}

/// What a tensor of the state dictionary is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OfficialTensor {
    /// Its official name.
    pub name: String,
    /// Its official shape.
    pub shape: Vec<usize>,
    /// F32, or I64 for counters.
    pub element: ElementType,
}

impl OfficialTensor {
    /// Running statistics, counters and flags: state that no gradient reaches.
    pub(crate) fn is_buffer(&self) -> bool {
        let last = self.name.rsplit('.').next().unwrap_or_default();
        matches!(last, "running_mean" | "running_var" | "num_batches_tracked" | "initted" | "step")
    }
}

/// Prefix of the encoder's tensors in downstream files.
pub(crate) const ENCODER: &str = "encoder.";

/// Prefixes of the encoder's tensors: itself, its second name in the official file, its moving average.
pub(crate) const STUDENT: &str = "student.";
pub(crate) const ONLINE: &str = "teacher.online_model.";
const AVERAGE: &str = "teacher.ema_model.";

/// The tensors of our checkpoints, in the official order.
pub(crate) fn list_tensors(sizes: &PointJepaSizes) -> Vec<OfficialTensor> {
    let mut list = TensorList(Vec::new());
    let (d, p) = (sizes.width, sizes.predictor_width);
    list.float("mask_token", &[d]);
    list.positions("positional_encoding.", sizes.position, d);
    list.tokenizer(sizes);
    for prefix in [STUDENT, AVERAGE] {
        list.transformer(prefix, sizes.depth, d, sizes.mlp);
    }
    list.float("teacher.initted", &[1]);
    list.counter("teacher.step", &[1]);
    list.float("predictor.mask_token", &[1, 1, p]);
    list.linear("predictor.predictor_embed", &[p, d]);
    list.positions("predictor.positional_encoding.", sizes.predictor_position, p);
    list.transformer("predictor.predictor.", sizes.predictor_depth, p, sizes.predictor_mlp);
    list.norm("predictor.predictor_norm", p);
    list.linear("predictor.predictor_proj", &[d, p]);
    list.0
}

/// Tensors as they are listed, layer by layer.
pub(crate) struct TensorList(pub Vec<OfficialTensor>);

impl TensorList {
    pub(crate) fn float(&mut self, name: &str, shape: &[usize]) {
        self.0.push(OfficialTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            element: ElementType::F32,
        });
    }

    pub(crate) fn counter(&mut self, name: &str, shape: &[usize]) {
        self.0.push(OfficialTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            element: ElementType::I64,
        });
    }

    /// A linear layer or 1x1 convolution with bias.
    pub(crate) fn linear(&mut self, name: &str, shape: &[usize]) {
        self.float(&format!("{name}.weight"), shape);
        self.float(&format!("{name}.bias"), &shape[..1]);
    }

    pub(crate) fn norm(&mut self, name: &str, width: usize) {
        self.linear(name, &[width]);
    }

    pub(crate) fn batch_norm(&mut self, name: &str, width: usize) {
        self.norm(name, width);
        self.float(&format!("{name}.running_mean"), &[width]);
        self.float(&format!("{name}.running_var"), &[width]);
        self.counter(&format!("{name}.num_batches_tracked"), &[]);
    }

    pub(crate) fn positions(&mut self, prefix: &str, hidden: usize, width: usize) {
        self.linear(&format!("{prefix}0"), &[hidden, 3]);
        self.linear(&format!("{prefix}2"), &[width, hidden]);
    }

    pub(crate) fn tokenizer(&mut self, sizes: &PointJepaSizes) {
        let [first, second, third] = sizes.tokenizer;
        let prefix = "tokenizer.embedding.encoder";
        self.float(&format!("{prefix}.first_conv.0.weight"), &[first, 3, 1]);
        self.batch_norm(&format!("{prefix}.first_conv.1"), first);
        self.linear(&format!("{prefix}.first_conv.3"), &[second, first, 1]);
        self.float(&format!("{prefix}.second_conv.0.weight"), &[third, 2 * second, 1]);
        self.batch_norm(&format!("{prefix}.second_conv.1"), third);
        self.linear(&format!("{prefix}.second_conv.3"), &[sizes.width, third, 1]);
    }

    pub(crate) fn transformer(&mut self, prefix: &str, depth: usize, width: usize, mlp: usize) {
        for block in 0..depth {
            let block = format!("{prefix}blocks.{block}");
            self.norm(&format!("{block}.norm1"), width);
            self.linear(&format!("{block}.attn.qkv"), &[3 * width, width]);
            self.linear(&format!("{block}.attn.proj"), &[width, width]);
            self.norm(&format!("{block}.norm2"), width);
            self.linear(&format!("{block}.mlp.fc1"), &[mlp, width]);
            self.linear(&format!("{block}.mlp.fc2"), &[width, mlp]);
        }
        self.norm(&format!("{prefix}norm"), width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of the method: 21.84 M for tokenizer, positions and encoder, 2,843,456 for the predictor.
    #[test]
    fn parameters_of_the_paper() {
        let entries = list_tensors(&PointJepaSizes::OFFICIAL);
        let count = |prefix: &str| -> usize {
            let of_part = |e: &&OfficialTensor| e.name.starts_with(prefix) && !e.is_buffer();
            entries.iter().filter(of_part).map(|e| e.shape.iter().product::<usize>()).sum()
        };
        assert_eq!(count("tokenizer."), 493_824);
        assert_eq!(count("positional_encoding."), 50_048);
        assert_eq!(count("student."), 21_294_336);
        assert_eq!(count("teacher.ema_model."), 21_294_336);
        assert_eq!(count("predictor."), 2_843_456);
        let mut names: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), entries.len(), "no name twice");
    }

    #[test]
    fn sizes_are_read_off_the_tensors() {
        let sizes = PointJepaSizes {
            width: 12,
            depth: 3,
            mlp: 20,
            position: 5,
            tokenizer: [4, 6, 8],
            predictor_width: 10,
            predictor_depth: 2,
            predictor_mlp: 14,
            predictor_position: 7,
        };
        let tensor = |e: &OfficialTensor| {
            crate::state::TensorData::from_f32(&e.shape, &vec![0.0; e.shape.iter().product()])
        };
        let mut state: StateDict = list_tensors(&sizes).iter().map(|e| (e.name.clone(), tensor(e))).collect();
        assert_eq!(PointJepaSizes::read(&state, STUDENT), sizes);
        let stray = state["mask_token"].clone();
        state.insert("student.blocks.99999999999.norm1.weight".to_owned(), stray);
        assert_eq!(PointJepaSizes::read(&state, STUDENT).depth, 3, "no list of a hundred billion blocks");
        assert_eq!(PointJepaSizes::read(&StateDict::new(), STUDENT), PointJepaSizes::OFFICIAL);
    }
}
