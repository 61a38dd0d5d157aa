//! A row group of views made by hand.

use std::io::Cursor;

use jepa3d_schemas::{ListColumn, ViewGroup};

/// A list column from its rows.
pub(super) fn list<T: Copy>(rows: &[&[T]]) -> ListColumn<T> {
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.len();
        Some(*end)
    });
    ListColumn { ends: ends.collect(), values: rows.concat(), valid: vec![true; rows.len()] }
}

fn png(width: u32, height: u32, at: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let image = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(at(x, y)));
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// Two views of `a`, none of `b`, one of `c`.
pub(super) fn view_group() -> ViewGroup {
    let image = png(4, 4, |x, y| [(16 * (4 * y + x)) as u8, 255, 0]);
    ViewGroup {
        rows: 3,
        sample_id: Some(ids(&["a", "a", "c"])),
        view: Some(vec![0, 5, 2]),
        image: Some(vec![image; 3]),
        width: Some(vec![4, 8, 4]),
        height: Some(vec![4, 2, 4]),
        corr_point: Some(list(&[&[0, 2, 5, 9], &[3], &[]])),
        corr_u: Some(list(&[&[1.0, 2.0, 3.0, 0.5], &[4.0], &[]])),
        corr_v: Some(list(&[&[0.0, 4.0, 2.0, 3.5], &[1.0], &[]])),
        corr_depth: Some(list(&[&[1.0, 3.0, 7.0, 2.0], &[6.0], &[]])),
        ..ViewGroup::default()
    }
}

pub(super) fn ids(all: &[&str]) -> Vec<String> {
    all.iter().map(|&id| id.to_owned()).collect()
}
