//! The layers of the models (Point-BERT, Point-MAE, point2vec, Point-JEPA).
//!
//! Of candle-nn these are `Linear` and the variable builder. Not its `LayerNorm` and softmax, which are fused and have no
//! backward; not `BatchNorm`, whose rule for running statistics is another; not `AdamW` (no groups, no clipping, no state to
//! save) and `VarMap` (no roles, no order).

mod attention;
mod batch_norm;
mod block_pass;
mod classifier_head;
mod cross_entropy;
mod cross_entropy_op;
mod decoder;
mod encoder;
#[cfg(test)]
mod encoder_tests;
mod feed_forward;
mod forward_pass;
mod image_tokens;
mod interpolation;
mod layer_norm;
mod linear;
mod mlp;
mod norm_activation;
mod parameter_builder;
mod parameters;
mod part_head;
mod positions;
mod predictor;
mod row_dropout;
mod scene_head;
#[cfg(test)]
mod segmentation_golden_tests;
mod tokenizer;
mod view_predictor;
mod visible_predictor;

pub(crate) use classifier_head::{ClassifierHead, HeadSizes, pool_tokens};
pub(crate) use cross_entropy::{ClassLoss, class_shares};
pub(crate) use decoder::Decoder;
pub(crate) use encoder::{Encoder, EncoderConfig, EncoderInput};
pub(crate) use forward_pass::ForwardPass;
pub(crate) use image_tokens::ImageTokens;
pub(crate) use interpolation::PointNeighbors;
pub(crate) use layer_norm::standardize;
pub(crate) use mlp::Mlp;
pub(crate) use parameter_builder::{ParameterBuilder, ParameterKind, ParameterStore};
#[cfg(test)]
pub(crate) use parameters::ParameterRole;
pub(crate) use parameters::{HostTensor, NamedTensors, Parameter, Parameters};
pub(crate) use part_head::{PartHead, PartHeadSizes, PointTokens, mix_depths};
pub(crate) use positions::PositionEmbedding;
pub(crate) use predictor::Predictor;
pub(crate) use scene_head::SceneHead;
pub(crate) use tokenizer::Tokenizer;
pub(crate) use view_predictor::{ViewPredictor, ViewQueries};
pub(crate) use visible_predictor::{PROJECTED, VisiblePredictor, VisibleQueries};
