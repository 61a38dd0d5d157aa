//! STL from bytes in memory: both kinds, counts, payloads, colours, spellings.

use super::*;
use jepa3d_schemas::NO_INDEX;

const FACET_VALUES: [f32; 9] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.5];

/// A binary file; each facet has an attribute word and what follows it.
fn with_words(header: &[u8], facets: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes.resize(80, 0);
    bytes.extend((facets.len() as u32).to_le_bytes());
    for (word, payload) in facets {
        bytes.extend([0; 12]);
        bytes.extend(FACET_VALUES.iter().flat_map(|v| v.to_le_bytes()));
        bytes.extend(word.to_le_bytes());
        bytes.extend(*payload);
    }
    bytes
}

fn binary(header: &[u8], facets: usize) -> Vec<u8> {
    with_words(header, &vec![(0, &[][..]); facets])
}

fn error(bytes: &[u8]) -> String {
    parse(bytes).unwrap_err().to_string()
}

const TEXT: &str = "SOLID x\n facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n   vertex 1 0 0\n   vertex 0 1 0.5\n  \
                    endloop\n endfacet\nendsolid x\n";

#[test]
fn binary_and_text_agree() {
    let from_text = parse(TEXT.as_bytes()).unwrap();
    for header in ["", "solid but binary", "solid facet"] {
        assert_eq!(parse(&binary(header.as_bytes(), 1)).unwrap(), from_text, "{header}");
    }
    assert_eq!(from_text.geometry.triangles, [[0, 1, 2]]);
    assert_eq!(parse(&TEXT.replace('\n', "\r").into_bytes()).unwrap(), from_text);
}

#[test]
fn texts_are_read_however_they_are_spelled() {
    let from_text = parse(TEXT.as_bytes()).unwrap();
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(TEXT.bytes().flat_map(|b| [b, 0])).collect();
    let spellings = [
        format!("\u{feff}{TEXT}").into_bytes(),
        format!("\n \t{TEXT}").into_bytes(),
        TEXT.replace("endloop", "end loop")
            .replace("endfacet", "END FACET")
            .replace("endsolid", "end solid")
            .into_bytes(),
        TEXT.replace("outer loop", "outerloop").to_ascii_uppercase().into_bytes(),
        TEXT.replace("SOLID x\n", "").into_bytes(),
        utf16,
    ];
    for bytes in spellings {
        assert_eq!(parse(&bytes).unwrap(), from_text, "{}", String::from_utf8_lossy(&bytes));
    }
    let several = parse(TEXT.repeat(3).as_bytes()).unwrap();
    assert_eq!(several.geometry.triangles.len(), 3);
    let colored = parse(TEXT.replace(" facet", "color 1 0 0\n facet").as_bytes()).unwrap();
    assert_eq!((colored.geometry, colored.warnings.len()), (from_text.geometry, 1));
    assert_eq!(colored.warnings, ["1 color statements are not read"]);
}

#[test]
fn bytes_after_the_last_facet_are_a_warning_and_a_wrong_count_an_error() {
    for header in ["solid made by a CAD", "made by a CAD"] {
        let mut file = binary(header.as_bytes(), 12);
        file.extend(b"\r\n");
        let parsed = parse(&file).unwrap();
        assert_eq!(parsed.geometry.triangles.len(), 12, "{header}");
        assert_eq!(parsed.warnings, ["2 bytes after the last facet are ignored"]);
        for (count, expected) in [
            (0, "the count of 12 facets that a file of 684 bytes holds, found 0, byte 80"),
            (6, "the count of 12 facets that a file of 684 bytes holds, found 6, byte 80"),
            (13, "at most 12 facets in a file of 684 bytes, found 13, byte 80"),
        ] {
            let mut file = binary(header.as_bytes(), 12);
            file[80] = count;
            assert_eq!(error(&file), format!("expected {expected}"), "{header}");
        }
    }
}

#[test]
fn payloads_between_facets_are_stepped_over() {
    let file = with_words(b"payload", &[(4, b"abcd"), (0, b""), (2, b"xy")]);
    let parsed = parse(&file).unwrap();
    assert_eq!(parsed.geometry.positions[6..9], parsed.geometry.positions[..3]);
    assert_eq!(parsed.geometry.triangles.len(), 3);
    assert_eq!(parsed.warnings, ["2 facets carry attribute bytes that are not read"]);
    assert!(parsed.geometry.triangle_materials.is_empty());
}

/// Bytes of the colour of each facet, and the warnings.
fn colors(header: &[u8], words: &[u16]) -> (Vec<Option<[u8; 3]>>, Vec<String>) {
    let facets: Vec<(u16, &[u8])> = words.iter().map(|&word| (word, &[][..])).collect();
    let Parsed { geometry: mesh, warnings } = parse(&with_words(header, &facets)).unwrap();
    let color = |&m: &u32| {
        (m != NO_INDEX).then(|| mesh.materials[m as usize].diffuse.map(|c| (c * 255.0).round() as u8))
    };
    (mesh.triangle_materials.iter().map(color).collect(), warnings.into_iter().map(|w| w.text).collect())
}

#[test]
fn attribute_words_are_colours_where_the_file_says_so() {
    let red = Some([255, 0, 0]);
    // Magics: the colour of the object, and of facets that have one of their own (red lowest).
    let magics = b"COLOR=\xff\x00\x00\xff,MATERIAL=";
    assert_eq!(colors(magics, &[0x801f, 0x03e0, 0x001f]), (vec![red, Some([0, 255, 0]), red], vec![]));
    assert_eq!(colors(magics, &[0, 0]), (vec![red, red], vec![]));
    // VisCAM: the highest bit says that there is one (blue lowest).
    assert_eq!(colors(b"", &[0xfc00, 0x801f]), (vec![red, Some([0, 0, 255])], vec![]));
    let partly = "1 of 2 facets have no colour; they are light grey".to_owned();
    assert_eq!(colors(b"", &[0xfc00, 0]), (vec![red, None], vec![partly]));
    let other = "2 facets carry attribute words that are no colours; not read".to_owned();
    assert_eq!(colors(b"", &[7, 0, 9]), (vec![], vec![other]));
    assert_eq!(colors(b"", &[0, 0]), (vec![], vec![]));
}

#[test]
fn bad_files_are_errors() {
    let file = binary(b"", 2);
    assert_eq!(
        error(&file[..file.len() - 1]),
        "expected at most 1 facets in a file of 183 bytes, found 2, byte 80"
    );
    let mut nan = binary(b"", 1);
    nan[96..108].copy_from_slice(&[f32::NAN.to_le_bytes(); 3].concat());
    assert!(error(&nan).ends_with("[NaN, NaN, NaN], byte 84"));
    assert_eq!(
        error(b"solid\nfacet\nvertex 1 2\n"),
        "expected three finite coordinates, found \" 1 2\", line 3"
    );
    assert_eq!(
        error(b"solid\nfacet\nvertex 1 2 3\n"),
        "expected endloop after three vertices, found the end of the file, line 3"
    );
    assert_eq!(
        error(b"solid\nfacet\nvertex 1 2 3\nendloop"),
        "expected three vertices of a facet, found 1, line 4"
    );
    assert!(error(b"").ends_with("found an empty file"));
    assert!(error(b"no such thing").ends_with("found \"no such thing\""));
}
