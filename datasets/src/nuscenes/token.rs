//! Defines the 128-bit form of nuScenes tokens and the map from a token to its row.
//!
//! Real tokens are 32 lower-case hex digits, which is exactly 128 bits: a token costs 16 bytes
//! instead of the 80 or so of a heap string. Any other text (hand-made data sets) becomes the
//! first 128 bits of its BLAKE3 hash and is shown as that. Two texts of one table that fell on
//! the same 128 bits would be reported as a repeated token, never mixed up silently.

use std::collections::HashMap;
use std::fmt;

use jepa3d_schemas::source_hash;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::error::{FilePlace, ParseError};

/// A token of a table row; the empty text is [`Token::NONE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Token(u128);

impl Token {
    /// The empty token, which means "no such row" (`prev` of the first row of a chain).
    pub(super) const NONE: Self = Self(0);

    /// The token written as `text`.
    pub(super) fn new(text: &str) -> Self {
        if text.is_empty() {
            return Self::NONE;
        }
        match hex_128(text.as_bytes()) {
            Some(bits) if bits != 0 => Self(bits),
            _ => Self(hex_128(source_hash(&[text.as_bytes()]).as_bytes()).unwrap_or(1).max(1)),
        }
    }

    /// Whether this is the empty token.
    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// The number written as exactly 32 lower-case hex digits.
fn hex_128(text: &[u8]) -> Option<u128> {
    if text.len() != 32 {
        return None;
    }
    text.iter().try_fold(0_u128, |bits, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(bits << 4 | u128::from(value))
    })
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() { f.write_str("(empty)") } else { write!(f, "{:032x}", self.0) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Token;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Token, E> {
                Ok(Token::new(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Row numbers of one table by token.
#[derive(Debug, Default)]
pub(super) struct TokenIndex(HashMap<Token, u32>);

impl TokenIndex {
    /// Adds the token of a kept row; `row` is its number in the file, for the error.
    ///
    /// # Errors
    /// Fails if the token is empty or was added before.
    pub(super) fn insert(&mut self, token: Token, kept: u32, row: usize) -> Result<(), ParseError> {
        let problem = |found: String| ParseError::new(FilePlace::Row(row), "a token of its own", found);
        if token.is_none() {
            return Err(problem("an empty token".to_owned()));
        }
        match self.0.insert(token, kept) {
            None => Ok(()),
            Some(_) => Err(problem(format!("token {token} a second time"))),
        }
    }

    /// The number of a token, the next free one if it is new; true if it is.
    pub(super) fn intern(&mut self, token: Token) -> (u32, bool) {
        let next = self.0.len() as u32;
        let number = *self.0.entry(token).or_insert(next);
        (number, number == next)
    }

    /// The kept row of a token.
    pub(super) fn get(&self, token: Token) -> Option<u32> {
        self.0.get(&token).copied()
    }

    /// The kept row of a token that a row of another table names.
    ///
    /// # Errors
    /// Fails if there is none; the error names `table` and the token.
    pub(super) fn resolve(&self, token: Token, table: &str, row: usize) -> Result<u32, ParseError> {
        self.get(token).ok_or_else(|| {
            let found = format!("token {token}, which {table}.json does not have");
            ParseError::new(FilePlace::Row(row), format!("a token of {table}.json"), found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_tokens_keep_their_text_and_others_are_hashed() {
        let text = "ca9a282c9e77460f8360f564131a8af5";
        assert_eq!(Token::new(text).to_string(), text);
        assert!(Token::new("").is_none());
        let odd =
            ["1", "2", "CA9A282C9E77460F8360F564131A8AF5", "00000000000000000000000000000000", "\u{e9}"];
        for (i, a) in odd.iter().enumerate() {
            assert!(!Token::new(a).is_none(), "{a}");
            assert_eq!(Token::new(a), Token::new(a));
            assert!(odd[..i].iter().all(|b| Token::new(a) != Token::new(b)), "{a}");
        }
    }

    #[test]
    fn index_refuses_empty_repeated_and_dangling_tokens() {
        let (mut index, token) = (TokenIndex::default(), Token::new("ca9a282c9e77460f8360f564131a8af5"));
        index.insert(token, 4, 0).unwrap();
        assert_eq!(index.get(token), Some(4));
        let text = |e: ParseError| e.to_string();
        assert_eq!(
            text(index.insert(token, 5, 7).unwrap_err()),
            "expected a token of its own, found token ca9a282c9e77460f8360f564131a8af5 a second time, row 7"
        );
        assert_eq!(
            text(index.insert(Token::NONE, 5, 7).unwrap_err()),
            "expected a token of its own, found an empty token, row 7"
        );
        assert_eq!(
            text(index.resolve(Token::new("00000000000000000000000000000abc"), "scene", 2).unwrap_err()),
            "expected a token of scene.json, found token 00000000000000000000000000000abc, \
             which scene.json does not have, row 2"
        );
    }
}
