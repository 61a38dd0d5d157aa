//! The texture that a `map_Kd` line names, and the options before its name.

use jepa3d_schemas::{TextureWrap, Warning, WarningKind};

use crate::formats::ascii::{number, quote};

/// A texture of a material file.
#[derive(Clone, Debug, PartialEq)]
pub struct MtlTexture {
    /// File name, as written.
    pub name: Vec<u8>,
    /// `-o`: added to texture coordinates that were scaled.
    pub offset: [f64; 2],
    /// `-s`: factors of texture coordinates.
    pub scale: [f64; 2],
    /// `-clamp`: what lies outside `[0,1]`.
    pub wrap: TextureWrap,
}

impl Default for MtlTexture {
    fn default() -> Self {
        Self { name: Vec::new(), offset: [0.0; 2], scale: [1.0; 2], wrap: TextureWrap::Repeat }
    }
}

impl MtlTexture {
    /// Where in the image a texture coordinate of the model lies.
    pub(crate) fn place(&self, uv: [f32; 2]) -> [f32; 2] {
        std::array::from_fn(|i| (f64::from(uv[i]) * self.scale[i] + self.offset[i]) as f32)
    }

    /// Whether texture coordinates lie where the model says.
    pub(crate) fn is_in_place(&self) -> bool {
        self.offset == [0.0; 2] && self.scale == [1.0; 2]
    }
}

/// What an option takes.
enum OptionArguments {
    /// One to three numbers.
    Numbers(usize),
    /// One word of these.
    Word(&'static [&'static [u8]]),
}

/// What options take; `None` for a word that is no option.
fn arguments_of(option: &[u8]) -> Option<OptionArguments> {
    const ON_OFF: &[&[u8]] = &[b"on", b"off"];
    const CHANNELS: &[&[u8]] = &[b"r", b"g", b"b", b"m", b"l", b"z"];
    const PROJECTIONS: &[&[u8]] =
        &[b"sphere", b"cube_top", b"cube_bottom", b"cube_front", b"cube_back", b"cube_left", b"cube_right"];
    Some(match option {
        b"-o" | b"-s" | b"-t" => OptionArguments::Numbers(3),
        b"-mm" => OptionArguments::Numbers(2),
        b"-bm" | b"-boost" | b"-texres" => OptionArguments::Numbers(1),
        b"-clamp" | b"-blendu" | b"-blendv" | b"-cc" => OptionArguments::Word(ON_OFF),
        b"-imfchan" => OptionArguments::Word(CHANNELS),
        b"-type" => OptionArguments::Word(PROJECTIONS),
        _ => return None,
    })
}

/// The texture of line `line`, `text` being what follows `map_Kd`; `None` (and a warning) without a file name.
///
/// `-o`, `-s` and `-clamp` are honoured. `-blendu`, `-blendv`, `-boost`, `-texres`, `-bm` and `-type` concern filtering
/// and other kinds of maps. The rest is a warning where it would change the picture.
pub(super) fn read_texture_line(line: usize, text: &[u8], warnings: &mut Vec<Warning>) -> Option<MtlTexture> {
    let mut texture = MtlTexture::default();
    let mut rest = text;
    while rest.first() == Some(&b'-') {
        let mut after = rest;
        let option = take_word(&mut after).to_ascii_lowercase();
        // A name may start with a dash, too.
        let Some(arguments) = arguments_of(&option) else { break };
        rest = after;
        let is_honoured = match arguments {
            OptionArguments::Numbers(most) => {
                let numbers = take_numbers(&mut rest, most);
                texture.set_numbers(&option, &numbers)
            }
            OptionArguments::Word(words) => texture.set_word(&option, take_one_of(&mut rest, words)),
        };
        if !is_honoured {
            let told = format!("material line {line}: {} of a texture is not honoured", quote(&option));
            warnings.push(Warning::new(WarningKind::TextureOptionUnread, told));
        }
    }
    if rest.is_empty() {
        let told = format!("material line {line}: no file name in {}", quote(text));
        warnings.push(Warning::new(WarningKind::MaterialLineUnread, told));
        return None;
    }
    texture.name = rest.to_vec();
    Some(texture)
}

impl MtlTexture {
    /// Takes the numbers of an option; whether they are honoured, or change nothing.
    fn set_numbers(&mut self, option: &[u8], numbers: &[f64]) -> bool {
        let are_finite = !numbers.is_empty() && numbers.iter().all(|x| x.is_finite());
        let at = |i: usize, default: f64| numbers.get(i).copied().unwrap_or(default);
        match option {
            b"-o" if are_finite => self.offset = [at(0, 0.0), at(1, 0.0)],
            b"-s" if are_finite => self.scale = [at(0, 1.0), at(1, 1.0)],
            b"-o" | b"-s" => return false,
            // Turbulence of nothing, and the base and gain that leave colours as they are.
            b"-t" => return numbers.iter().all(|&x| x == 0.0),
            b"-mm" => return at(0, 0.0) == 0.0 && at(1, 1.0) == 1.0,
            _ => {}
        }
        true
    }

    /// Takes the word of an option; whether it is honoured, or changes nothing.
    fn set_word(&mut self, option: &[u8], word: Option<Vec<u8>>) -> bool {
        match (option, word.as_deref()) {
            (b"-clamp", Some(b"on")) => self.wrap = TextureWrap::Clamp,
            (b"-clamp", Some(_)) => self.wrap = TextureWrap::Repeat,
            (b"-clamp", None) => return false,
            // Colour correction, and one channel of an image as a grey.
            (b"-cc", word) => return word == Some(b"off"),
            (b"-imfchan", _) => return false,
            _ => {}
        }
        true
    }
}

/// Takes up to `most` numbers off the front.
fn take_numbers(rest: &mut &[u8], most: usize) -> Vec<f64> {
    let mut numbers = Vec::new();
    while numbers.len() < most {
        let mut after = *rest;
        let Some(value) = number(take_word(&mut after)) else { break };
        // The last word is the file, even if it is called `2`.
        if after.is_empty() {
            break;
        }
        numbers.push(value);
        *rest = after;
    }
    numbers
}

/// Takes a word off the front if it is one of these, whatever its case.
fn take_one_of(rest: &mut &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let mut after = *rest;
    let word = take_word(&mut after).to_ascii_lowercase();
    let known = words.contains(&word.as_slice());
    if known {
        *rest = after;
    }
    known.then_some(word)
}

fn take_word<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let (word, tail) = rest.split_at(end);
    *rest = tail.trim_ascii_start();
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<MtlTexture>, Vec<Warning>) {
        let mut warnings = Vec::new();
        (read_texture_line(7, text.as_bytes(), &mut warnings), warnings)
    }

    #[test]
    fn placing_options_are_honoured() {
        for (text, name, offset, scale, wrap) in [
            ("a b.png", "a b.png", [0.0, 0.0], [1.0, 1.0], TextureWrap::Repeat),
            ("-s 2 3 1 -o 0.5 a.png", "a.png", [0.5, 0.0], [2.0, 3.0], TextureWrap::Repeat),
            ("-o .1 .2 -S 4 -CLAMP On my a.png", "my a.png", [0.1, 0.2], [4.0, 1.0], TextureWrap::Clamp),
            (
                "-clamp off -blendu off -boost 2 -texres 64 -bm 1 a",
                "a",
                [0.0; 2],
                [1.0; 2],
                TextureWrap::Repeat,
            ),
            ("-s 2 2 2", "2", [0.0, 0.0], [2.0, 2.0], TextureWrap::Repeat),
            ("-mm 0 1 -t 0 0 0 -cc off -a.png", "-a.png", [0.0; 2], [1.0; 2], TextureWrap::Repeat),
        ] {
            let (texture, warnings) = read(text);
            assert_eq!(texture, Some(MtlTexture { name: name.into(), offset, scale, wrap }), "{text}");
            assert_eq!(warnings, [""; 0], "{text}");
        }
        let texture = MtlTexture { offset: [0.5, 0.0], scale: [2.0, 1.0], ..MtlTexture::default() };
        assert_eq!(texture.place([0.25, 0.75]), [1.0, 0.75]);
        assert!(!texture.is_in_place() && MtlTexture::default().is_in_place());
    }

    #[test]
    fn what_would_change_the_picture_is_a_warning() {
        for option in ["-mm 0.2 0.5", "-t 1 1", "-imfchan r", "-cc on", "-clamp", "-s"] {
            let (texture, warnings) = read(&format!("{option} a.png"));
            assert_eq!(texture.unwrap().name, b"a.png", "{option}");
            let word = option.split(' ').next().unwrap();
            let told = format!("material line 7: \"{word}\" of a texture is not honoured");
            assert_eq!(warnings, [told.as_str()], "{option}");
        }
        let (texture, warnings) = read("-s 1 1 1");
        assert_eq!((texture.unwrap().name, warnings.len()), (b"1".to_vec(), 0));
        let (texture, warnings) = read("-clamp on");
        assert_eq!(
            (texture, warnings),
            (
                None,
                vec![Warning::new(
                    WarningKind::MaterialLineUnread,
                    "material line 7: no file name in \"-clamp on\"",
                )]
            )
        );
    }
}
