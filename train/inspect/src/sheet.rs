//! Contact sheets: samples of a prepared dataset as one picture, for people without a viewer.
//!
//! With views, a sample is a strip: its cloud on the left, some of its images beside it, and below
//! each image the points that it shows, in the colours they have in the cloud. Without views, a
//! sample is its cloud, patches in colours of their own and centers as black dots.

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::{self, FilterType as Resampling};
use image::{DynamicImage, Rgb, RgbImage};
use jepa3d_schemas::{Manifest, UpAxis, View, write_atomically};

use super::canvas::{CHARACTER, Canvas, PixelRect, shortened};
use super::cloud::{SeenCloud, Viewpoint};
use super::colors::{Color, by_place};
use super::facts;
use super::groups::ShownGrouping;
use super::layout::{CLOUDS, GAP, HEADING, Strip, WIDTH, cloud_side};
use super::select::{Selection, Specimen};
use crate::error::{Error, Result};

pub(crate) const PAPER: Color = [255; 3];
pub(crate) const INK: Color = [40, 40, 44];
pub(crate) const FAINT: Color = [120, 120, 126];
pub(crate) const BACKDROP: Color = [244, 244, 246];
/// Pixels of an image for each dot over it: enough dots to see a shape, few enough to see between.
const PIXELS_A_DOT: u32 = 36;
/// Radius of a dot over an image.
pub(crate) const DOT: f32 = 1.7;

/// A contact sheet.
pub struct Sheet(pub(crate) RgbImage);

/// Draws the selected samples.
///
/// # Errors
/// Fails if a shard cannot be read or a stored image does not decode.
pub fn contact_sheet(selection: &Selection) -> Result<Sheet> {
    let (manifest, grouping) = (selection.manifest(), selection.grouping());
    let mut parts: Vec<RgbImage> = Vec::new();
    let is_strips = selection.has_views();
    selection.visit(&mut |specimen| {
        parts.push(match is_strips {
            true => strip(specimen, manifest.up_axis)?,
            false => patches(specimen, manifest, grouping),
        });
        Ok(())
    })?;
    Ok(Sheet(assemble(&heading(manifest, is_strips), &parts)))
}

impl Sheet {
    /// Writes the sheet as PNG, whole or not at all; returns its bytes.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn write(&self, path: &Path) -> Result<u64> {
        let bytes = self.encode();
        write_atomically(path, &bytes)?;
        Ok(bytes.len() as u64)
    }

    /// The bytes of the PNG file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new_with_quality(
            Cursor::new(&mut bytes),
            CompressionType::Best,
            FilterType::Adaptive,
        );
        self.0.write_with_encoder(encoder).expect("a PNG file in memory can be written");
        bytes
    }
}

fn heading(manifest: &Manifest, is_strips: bool) -> String {
    let fingerprint: String = manifest.fingerprint.chars().take(12).collect();
    let legend = match is_strips {
        true => "cloud, images, and the points that each image shows in the cloud's colours",
        false => "patches in colours, centers black",
    };
    format!("{} {fingerprint}: {legend}", manifest.dataset)
}

/// Puts the parts below each other, as many side by side as fit.
fn assemble(heading: &str, parts: &[RgbImage]) -> RgbImage {
    let (mut places, mut x, mut y, mut row) = (Vec::new(), 0, HEADING + GAP, 0);
    for part in parts {
        if x + part.width() > WIDTH {
            (x, y, row) = (0, y + row, 0);
        }
        places.push((x, y));
        x += part.width();
        row = row.max(part.height());
    }
    let mut canvas = Canvas::new(WIDTH, y + row, PAPER);
    canvas.text([GAP, GAP], &shortened(heading, WIDTH - 2 * GAP), INK);
    for (part, (x, y)) in parts.iter().zip(places) {
        canvas.paste(PixelRect { x, y, width: part.width(), height: part.height() }, part);
    }
    canvas.0
}

/// The strip of a sample with views.
pub(crate) fn strip(specimen: &Specimen, up: UpAxis) -> Result<RgbImage> {
    let sizes: Vec<(u32, u32)> =
        specimen.views.iter().map(|view| (view.camera.width, view.camera.height)).collect();
    let layout = Strip::new(&sizes);
    let mut canvas = Canvas::new(WIDTH, layout.height, PAPER);
    let colors = by_place(&specimen.sample.points);
    label(&mut canvas, specimen, WIDTH - 2 * GAP);
    canvas.fill(layout.cloud, BACKDROP);
    let seen = SeenCloud::new(&specimen.sample.points, &Viewpoint::above(up), layout.cloud);
    draw_front(&mut canvas, &seen, colors.iter().copied().enumerate().collect());
    for ((&index, &image), &dots) in layout.views.iter().zip(&layout.images).zip(&layout.dots) {
        let view = &specimen.views[index];
        let picture = decode(view, image)?;
        canvas.paste(image, &picture);
        canvas.paste(dots, &pale(&picture));
        draw_dots(&mut canvas, dots, view, &colors);
    }
    Ok(canvas.0)
}

/// Draws those of the listed points that are in front, and returns which of the cloud's are.
pub(crate) fn draw_front(
    canvas: &mut Canvas,
    seen: &SeenCloud,
    mut points: Vec<(usize, Color)>,
) -> Vec<bool> {
    let radius = seen.radius(points.len());
    let front = seen.front(&points, radius);
    points.retain(|&(point, _)| front[point]);
    seen.draw(canvas, &points, radius);
    front
}

fn label(canvas: &mut Canvas, specimen: &Specimen, width: u32) {
    let facts = facts::line(specimen);
    let room = width.saturating_sub((facts.len() as u32 + 2) * CHARACTER);
    let id = shortened(&specimen.sample.sample_id, room);
    canvas.text([GAP, GAP / 2], &id, INK);
    canvas.text([GAP + (id.chars().count() as u32 + 2) * CHARACTER, GAP / 2], &facts, FAINT);
}

/// A view's image on paper, at the size of a tile.
fn decode(view: &View, tile: PixelRect) -> Result<RgbImage> {
    let decoded = image::load_from_memory(&view.image).map_err(|e| Error::Image {
        id: view.sample_id.clone(),
        view: view.view,
        what: "image",
        found: e.to_string(),
    })?;
    let mut paper = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(
        decoded.width(),
        decoded.height(),
        image::Rgba([BACKDROP[0], BACKDROP[1], BACKDROP[2], 255]),
    ));
    imageops::overlay(&mut paper, &decoded, 0, 0);
    let paper = paper.into_rgb8();
    Ok(imageops::resize(&paper, tile.width.max(1), tile.height.max(1), Resampling::CatmullRom))
}

/// A grey and light copy: the colours over it are those of the dots alone.
fn pale(picture: &RgbImage) -> RgbImage {
    let mut pale = picture.clone();
    for pixel in pale.pixels_mut() {
        let [r, g, b] = pixel.0.map(u32::from);
        let grey = (299 * r + 587 * g + 114 * b) / 1000;
        *pixel = Rgb([(118 + grey * 130 / 255) as u8; 3]);
    }
    pale
}

/// Evenly chosen correspondences over a view's tile, far to near.
fn draw_dots(canvas: &mut Canvas, tile: PixelRect, view: &View, colors: &[Color]) {
    let c = &view.correspondences;
    let most = (tile.width * tile.height / PIXELS_A_DOT).max(1) as usize;
    let mut dots: Vec<usize> = (0..c.len()).step_by(c.len().div_ceil(most).max(1)).collect();
    dots.sort_by(|&a, &b| c.depth[b].total_cmp(&c.depth[a]).then(a.cmp(&b)));
    let scale = [
        tile.width as f32 / view.camera.width.max(1) as f32,
        tile.height as f32 / view.camera.height.max(1) as f32,
    ];
    for i in dots {
        let Some(&color) = colors.get(c.point[i] as usize) else { continue };
        let at = [tile.x as f32 + scale[0] * c.u[i], tile.y as f32 + scale[1] * c.v[i]];
        canvas.disc(tile, at, DOT, color);
    }
}

/// The tile of a sample without views.
fn patches(specimen: &Specimen, manifest: &Manifest, grouping: usize) -> RgbImage {
    let side = cloud_side();
    let part = WIDTH / CLOUDS;
    let mut canvas = Canvas::new(part, 2 * HEADING + side + GAP, PAPER);
    let tile = PixelRect { x: GAP, y: 2 * HEADING - GAP, width: side, height: side };
    canvas.text([GAP, 0], &shortened(&specimen.sample.sample_id, side), INK);
    canvas.text([GAP, HEADING - GAP], &shortened(&facts::line(specimen), side), FAINT);
    canvas.fill(tile, BACKDROP);
    let seen = SeenCloud::new(&specimen.sample.points, &Viewpoint::above(manifest.up_axis), tile);
    let groups = ShownGrouping::select(&specimen.sample, manifest.shape.R, grouping);
    let front = draw_front(&mut canvas, &seen, groups.colors(specimen.sample.len()));
    let centers = groups.centers.iter().map(|&i| i as usize).filter(|&i| front.get(i) == Some(&true));
    let centers: Vec<(usize, Color)> = centers.map(|i| (i, INK)).collect();
    seen.draw(&mut canvas, &centers, 1.6);
    canvas.0
}
