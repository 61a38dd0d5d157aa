//! Training kernels: what candle has no backward for, or computes more slowly than it could.

pub mod tokenizer;
pub mod tokenizer_composite;
