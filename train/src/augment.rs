//! stub
use serde::{Deserialize, Serialize};
/// stub
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Augment {}
