//! The layers of the backbone that all presets share (Point-BERT, Point-MAE, point2vec, Point-JEPA).

mod attention;
mod decoder;
mod encoder;
#[cfg(test)]
mod encoder_tests;
mod image_tokens;
mod linear;
mod mlp;
mod parameters;
mod pass;
mod positions;
mod predictor;
mod seen_predictor;
mod tokenizer;
mod view_predictor;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::{Encoder, EncoderSize};
pub(crate) use image_tokens::ImageTokens;
pub(crate) use linear::layer_norm_plain;
pub use parameters::{NamedValues, Parameter, Parameters, Role};
pub(crate) use pass::{Pass, Rates};
pub(crate) use positions::PositionEmbedding;
pub(crate) use predictor::Predictor;
pub(crate) use seen_predictor::{Asked, PROJECTED, SeenPredictor};
pub(crate) use tokenizer::Tokenizer;
pub(crate) use view_predictor::ViewPredictor;
