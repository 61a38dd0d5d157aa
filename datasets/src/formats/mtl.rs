//! MTL: the diffuse colour and texture of each material of an OBJ file.
//!
//! Every line that is not understood is passed over: renderers disagree about most of them, and
//! a broken material file must not cost the geometry.

use jepa3d_schemas::{Warning, WarningKind};

use super::ascii::{Lines, decode, fields, number, quote, take_three};
use super::parsed::Parsed;

/// Colour of a material until its file is read, and of one whose file names none.
pub(crate) const DEFAULT_DIFFUSE: [f32; 3] = [0.8; 3];

/// A material as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct MtlMaterial {
    /// Name behind `newmtl`.
    pub name: String,
    /// `Kd`, or a light grey without one.
    pub diffuse: [f32; 3],
    /// File name behind `map_Kd`, as written.
    pub texture: Option<String>,
}

/// Reads a material file; malformed colours are warnings.
pub fn parse(bytes: &[u8]) -> Parsed<Vec<MtlMaterial>> {
    let text = decode(bytes);
    let mut parsed = Parsed::<Vec<MtlMaterial>>::default();
    for (number, line) in Lines::new(&text) {
        let line = line.trim_ascii_start();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (keyword, rest) = (line[..end].to_ascii_lowercase(), line[end..].trim_ascii());
        if keyword == b"newmtl" {
            let name = String::from_utf8_lossy(rest).into_owned();
            parsed.geometry.push(MtlMaterial { name, diffuse: DEFAULT_DIFFUSE, texture: None });
            continue;
        }
        let Some(material) = parsed.geometry.last_mut() else { continue };
        match keyword.as_slice() {
            b"kd" => match diffuse(rest) {
                Some(color) => material.diffuse = color,
                None => parsed.warnings.push(warn_of_line(number, rest)),
            },
            b"map_kd" => material.texture = texture_name(rest),
            _ => {}
        }
    }
    parsed
}

fn warn_of_line(number: usize, rest: &[u8]) -> Warning {
    let text = format!("material line {number}: no colour in {}", quote(rest));
    Warning::new(WarningKind::MaterialLineUnread, text)
}

/// `Kd r g b`, or `Kd r` for a grey.
fn diffuse(text: &[u8]) -> Option<[f32; 3]> {
    let color =
        take_three(&mut &*text).or_else(|| fields(text).next().and_then(number).map(|grey| [grey; 3]))?;
    color.iter().all(|c| c.is_finite()).then(|| color.map(|c| c.clamp(0.0, 1.0) as f32))
}

/// The file name behind the options of a texture line; it may hold blanks.
fn texture_name(text: &[u8]) -> Option<String> {
    let mut rest = text;
    while rest.first() == Some(&b'-') {
        let option = take_word(&mut rest).to_ascii_lowercase();
        let numbers = match option.as_slice() {
            b"-o" | b"-s" | b"-t" => 3,
            b"-mm" => 2,
            b"-bm" | b"-boost" | b"-texres" | b"-clamp" | b"-blendu" | b"-blendv" | b"-cc" | b"-imfchan"
            | b"-type" => 1,
            _ => 0,
        };
        for taken in 0..numbers {
            let mut after = rest;
            let word = take_word(&mut after);
            // -o, -s, -t and -mm may have fewer numbers than they allow.
            if taken > 0 && number(word).is_none() {
                break;
            }
            rest = after;
        }
    }
    (!rest.is_empty()).then(|| String::from_utf8_lossy(rest).trim_matches('"').to_owned())
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

    #[test]
    fn colours_and_textures() {
        let text = "Kd 1 1 1\nnewmtl a b\n\tKd 0.1 0.2 2\nmap_Kd -s 1 1 1 -clamp on my image.jpg\r\nnewmtl c\nkd 0.5\n\
                    newmtl d\nKd x\nmap_Kd ..\\images\\t.png\nmap_Ks s.png\n";
        let Parsed { geometry, warnings } = parse(text.as_bytes());
        let material = |name: &str, diffuse, texture: Option<&str>| MtlMaterial {
            name: name.into(),
            diffuse,
            texture: texture.map(Into::into),
        };
        assert_eq!(
            geometry,
            [
                material("a b", [0.1, 0.2, 1.0], Some("my image.jpg")),
                material("c", [0.5; 3], None),
                material("d", DEFAULT_DIFFUSE, Some("..\\images\\t.png")),
            ]
        );
        assert_eq!(warnings, ["material line 8: no colour in \"x\""]);
    }
}
