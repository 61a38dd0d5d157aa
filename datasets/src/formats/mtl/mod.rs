//! MTL: the diffuse colour and texture of each material of an OBJ file.
//!
//! Statements other than `newmtl`, `Kd` and `map_Kd` say nothing about the diffuse colour and are passed over: renderers
//! disagree about most of them, and a broken material file must not cost the geometry. Names are bytes, whatever
//! encoding they were written in.

mod texture_line;

use jepa3d_schemas::{Warning, WarningKind};

use self::texture_line::read_texture_line;
use super::ascii::{Lines, decode, fields, number, quote, take_three};
use super::parsed::Parsed;

pub use self::texture_line::MtlTexture;

/// A material as its file describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MtlMaterial {
    /// Name behind `newmtl`, as written.
    pub name: Vec<u8>,
    /// `Kd`, sRGB from 0 to 1.
    pub diffuse: Option<[f32; 3]>,
    /// What `map_Kd` names.
    pub texture: Option<MtlTexture>,
}

/// Reads a material file; what cannot be understood of a colour or texture is a warning.
pub fn parse(bytes: &[u8]) -> Parsed<Vec<MtlMaterial>> {
    let text = decode(bytes);
    let mut parsed = Parsed::<Vec<MtlMaterial>>::default();
    for (number, line) in Lines::new(&text) {
        let line = line.trim_ascii_start();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (keyword, rest) = (line[..end].to_ascii_lowercase(), line[end..].trim_ascii());
        if keyword == b"newmtl" {
            parsed.geometry.push(MtlMaterial { name: rest.to_vec(), ..MtlMaterial::default() });
            continue;
        }
        let Some(material) = parsed.geometry.last_mut() else { continue };
        match keyword.as_slice() {
            b"kd" => {
                let color = read_diffuse(number, rest, &mut parsed.warnings);
                material.diffuse = color.or(material.diffuse);
            }
            b"map_kd" => {
                let texture = read_texture_line(number, rest, &mut parsed.warnings);
                material.texture = texture.or_else(|| material.texture.take());
            }
            _ => {}
        }
    }
    parsed
}

/// `Kd r g b`, or `Kd r` for a grey, clamped to 0 to 1; curves and CIE colours are a warning.
fn read_diffuse(line: usize, text: &[u8], warnings: &mut Vec<Warning>) -> Option<[f32; 3]> {
    let color =
        take_three(&mut &*text).or_else(|| fields(text).next().and_then(number).map(|grey| [grey; 3]));
    let Some(color) = color.filter(|color| color.iter().all(|c| c.is_finite())) else {
        let told = format!("material line {line}: no colour in {}", quote(text));
        warnings.push(Warning::new(WarningKind::MaterialLineUnread, told));
        return None;
    };
    if color.iter().any(|c| !(0.0..=1.0).contains(c)) {
        let told = format!("material line {line}: {} is not within 0 to 1; clamped", quote(text));
        warnings.push(Warning::new(WarningKind::MaterialValueChanged, told));
    }
    Some(color.map(|c| c.clamp(0.0, 1.0) as f32))
}

/// The ways to read a name that may be quoted, or have its blanks escaped: as written, then without quotes and escapes.
pub(crate) fn spellings(name: &[u8]) -> Vec<Vec<u8>> {
    let name = name.trim_ascii();
    let unquoted = name.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(name);
    let mut unescaped = Vec::with_capacity(unquoted.len());
    for (i, &byte) in unquoted.iter().enumerate() {
        if byte != b'\\' || !matches!(unquoted.get(i + 1), Some(b' ' | b'\t')) {
            unescaped.push(byte);
        }
    }
    let mut spellings = vec![name.to_vec()];
    for other in [unquoted.to_vec(), unescaped] {
        if !spellings.contains(&other) {
            spellings.push(other);
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_textures() {
        let text = "Kd 1 1 1\nnewmtl a b\n\tKd 0.1 0.2 1\nmap_Kd my image.jpg\r\nnewmtl c\nkd 0.5\n\
                    newmtl d\nKd x\nmap_Kd ..\\images\\t.png\nmap_Ks s.png\nnewmtl e\nKd 2 0 -1\n";
        let Parsed { geometry, warnings } = parse(text.as_bytes());
        let material = |name: &str, diffuse, texture: Option<&str>| MtlMaterial {
            name: name.into(),
            diffuse,
            texture: texture.map(|name| MtlTexture { name: name.into(), ..MtlTexture::default() }),
        };
        assert_eq!(
            geometry,
            [
                material("a b", Some([0.1, 0.2, 1.0]), Some("my image.jpg")),
                material("c", Some([0.5; 3]), None),
                material("d", None, Some("..\\images\\t.png")),
                material("e", Some([1.0, 0.0, 0.0]), None),
            ]
        );
        let clamped = "material line 12: \"2 0 -1\" is not within 0 to 1; clamped";
        assert_eq!(warnings, ["material line 8: no colour in \"x\"", clamped]);
    }

    #[test]
    fn colours_of_other_kinds_are_warnings() {
        let parsed = parse(b"newmtl a\nKd xyz 0.4 0.2 0.1\nnewmtl b\nKd spectral red.rfl 1\n");
        assert!(parsed.geometry.iter().all(|material| material.diffuse.is_none()));
        assert_eq!(
            parsed.warnings,
            [
                "material line 2: no colour in \"xyz 0.4 0.2 0.1\"",
                "material line 4: no colour in \"spectral red.rfl 1\"",
            ]
        );
    }

    #[test]
    fn names_are_bytes_and_may_be_quoted_or_escaped() {
        assert_eq!(parse(b"newmtl \xba\xec \n").geometry[0].name, b"\xba\xec");
        assert_eq!(spellings(b" a b "), [b"a b"]);
        assert_eq!(spellings(b"\"a b\""), [&b"\"a b\""[..], b"a b"]);
        assert_eq!(spellings(b"a\\ b\\c"), [&b"a\\ b\\c"[..], b"a b\\c"]);
    }
}
