//! Size and time of PNG settings on real views.

use std::path::Path;

use jepa3d_render::{ColorBy, Subject, ViewScratch, ViewsConfig, render_views};
use jepa3d_schemas::UpAxis;

use crate::{BenchMesh, busy, peer_config, support};

/// Size and time of PNG settings on the views of every `objects / limit`-th mesh.
pub(crate) fn measure(folder: &Path, limit: usize, supersample: u32) {
    let all = support::objs(folder);
    let step = (all.len() / limit).max(1);
    let config = ViewsConfig { depth: true, supersample, color: ColorBy::Auto, ..peer_config(supersample) };
    let mut files = [Vec::new(), Vec::new()];
    for item in all.iter().step_by(step).take(limit).filter_map(|p| BenchMesh::read(p)) {
        let subject = Subject { object: &item.object, sample: &item.sample, up: UpAxis::Y, seed: 0 };
        let rendered =
            render_views(&subject, &config, &mut ViewScratch::default()).expect("the config is in range");
        for view in rendered.views {
            files[0].push(view.image);
            files[1].extend(view.depth);
        }
    }
    for (what, files) in ["image", "depth"].into_iter().zip(&files) {
        let pictures: Vec<(png::OutputInfo, Vec<u8>)> = files.iter().map(|f| decode(f)).collect();
        let filters = [
            png::Filter::NoFilter,
            png::Filter::Sub,
            png::Filter::Up,
            png::Filter::Paeth,
            png::Filter::Adaptive,
        ];
        for filter in filters {
            for compression in ["fdeflate", "1", "2", "4", "6"] {
                print_setting(what, &pictures, filter, compression);
            }
        }
    }
}

/// Size and time of one PNG setting.
fn print_setting(
    what: &str,
    pictures: &[(png::OutputInfo, Vec<u8>)],
    filter: png::Filter,
    compression: &str,
) {
    let (mut bytes, start) = (0, busy());
    for (info, pixels) in pictures {
        bytes += encode(info, pixels, filter, compression).len();
    }
    let per_view = 1.0 / pictures.len() as f64;
    println!(
        "{}",
        serde_json::json!({
            "case": format!("{what} {filter:?} {compression}"),
            "bytes_per_view": (bytes as f64 * per_view).round(),
            "ms_per_view": ((busy() - start) * 1e6 * per_view).round() / 1e3,
        })
    );
}

fn decode(file: &[u8]) -> (png::OutputInfo, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("own files decode");
    let mut bytes = vec![0; reader.output_buffer_size().expect("small images")];
    let info = reader.next_frame(&mut bytes).expect("own files decode");
    (info, bytes)
}

fn encode(info: &png::OutputInfo, pixels: &[u8], filter: png::Filter, compression: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, info.width, info.height);
    encoder.set_color(info.color_type);
    encoder.set_depth(info.bit_depth);
    match compression.parse() {
        Ok(level) => encoder.set_deflate_compression(png::DeflateCompression::Level(level)),
        Err(_) => encoder.set_deflate_compression(png::DeflateCompression::FdeflateUltraFast),
    }
    encoder.set_filter(filter);
    let mut writer = encoder.write_header().expect("legal sizes");
    writer.write_image_data(pixels).expect("memory takes it");
    drop(writer);
    file
}
