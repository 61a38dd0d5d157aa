//! `jepa3d stats`: what is in a prepared dataset?
