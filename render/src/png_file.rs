//! PNG files of images and depth maps, with settings chosen by measurement (README).

use crate::frame_buffer::FrameBuffer;

/// Writes `rgba [H*W*4]` as an 8-bit PNG with alpha.
pub(crate) fn encode_rgba(rgba: &[u8], width: usize, height: usize) -> Vec<u8> {
    let (color, depth) = (png::ColorType::Rgba, png::BitDepth::Eight);
    encode(rgba, width, height, PngFormat { color, depth, filter: png::Filter::Adaptive })
}

/// Writes the depths of a frame as a 16-bit grey PNG, and the depth of one step.
///
/// 0 = nothing there, else depth = value * step; the farthest depth is 65535 steps.
pub(crate) fn encode_depth(frame: &FrameBuffer, bytes: &mut Vec<u8>) -> (Vec<u8>, f64) {
    let farthest = frame.depth.iter().filter(|d| d.is_finite()).fold(0.0f32, |a, &b| a.max(b));
    let step = f64::from(farthest) / 65535.0;
    let per_step = if farthest > 0.0 { 1.0 / step } else { 0.0 };
    bytes.clear();
    bytes.reserve(frame.depth.len() * 2);
    for &depth in &frame.depth {
        let value = if depth.is_finite() { (f64::from(depth) * per_step + 0.5).max(1.0) as u16 } else { 0 };
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    let (color, depth) = (png::ColorType::Grayscale, png::BitDepth::Sixteen);
    let format = PngFormat { color, depth, filter: png::Filter::Paeth };
    (encode(bytes, frame.width, frame.height, format), step)
}

/// How pixels are stored.
struct PngFormat {
    color: png::ColorType,
    depth: png::BitDepth,
    filter: png::Filter,
}

fn encode(bytes: &[u8], width: usize, height: usize, format: PngFormat) -> Vec<u8> {
    let mut file = Vec::with_capacity(bytes.len() / 4 + 1024);
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(format.color);
    encoder.set_depth(format.depth);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(format.filter);
    let mut writer = encoder.write_header().expect("sides are checked to be 1 to 4096");
    writer.write_image_data(bytes).expect("the bytes fill the image and memory takes them");
    writer.finish().expect("memory takes the end of the file");
    file
}
