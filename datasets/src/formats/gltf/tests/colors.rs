//! Base colours: factors, textures where they lie, vertex colours, and what a primitive without any is.

use jepa3d_schemas::{ColorRule, NO_INDEX, TextureWrap};
use serde_json::json;

use super::super::*;
use super::builder::{Builder, push};

const RED: [f32; 3] = [1.0, 0.0, 0.0];
const IN_TEXTURE: [[f32; 2]; 4] = [[0.25, 0.0], [0.75, 0.0], [0.75, 1.0], [0.25, 1.0]];

#[test]
fn every_primitive_keeps_its_factor_and_its_vertex_colours() {
    let mut file = Builder::new();
    let red = file.material(json!({"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}));
    let green = file.floats(&[[0.0, 1.0, 0.0]; 4], "VEC3");
    let grey = file.floats(&[[0.5, 0.5, 0.5, 0.1]; 4], "VEC4");
    let bytes = file.bytes(&[[255, 0, 51, 255]; 4], "VEC4", true);
    file.square(0.0, &[("COLOR_0", green)], None);
    file.square(3.0, &[], Some(red));
    file.square(6.0, &[("COLOR_0", grey)], Some(red));
    file.square(9.0, &[], None);
    file.square(12.0, &[("COLOR_0", bytes)], None);
    let mesh = file.read().geometry;
    assert_eq!(mesh.color_rule, ColorRule::Product);
    let none = NO_INDEX;
    assert_eq!(mesh.triangle_materials, [none, none, 0, 0, 0, 0, none, none, none, none]);
    assert_eq!(mesh.materials[0].diffuse, RED);
    // Half the light is 188 in sRGB, a fifth 124.
    let colors = [[0, 255, 0], [255; 3], [188; 3], [255; 3], [255, 0, 124]];
    assert_eq!(mesh.vertex_colors, colors.map(|c| [c; 4]).concat());
}

#[test]
fn materials_of_specular_and_glossiness_have_a_diffuse_colour_and_texture() {
    let mut file = Builder::new();
    let texture = file.texture(&[&[[0, 0, 255]]]);
    let of = |diffuse| json!({"extensions": {"KHR_materials_pbrSpecularGlossiness": diffuse}});
    let factor = file.material(of(json!({"diffuseFactor": [1, 0, 0, 1], "glossinessFactor": 0.2})));
    let image = file.material(of(json!({"diffuseTexture": {"index": texture}})));
    let uvs = file.floats(&IN_TEXTURE, "VEC2");
    file.square(0.0, &[], Some(factor));
    file.square(2.0, &[("TEXCOORD_0", uvs)], Some(image));
    file.json["extensionsRequired"] = json!(["KHR_materials_pbrSpecularGlossiness"]);
    let Parsed { geometry: mesh, warnings } = file.read();
    assert_eq!((mesh.materials[0].diffuse, &mesh.materials[0].texture), (RED, &None));
    assert_eq!(mesh.materials[1].diffuse, [1.0; 3]);
    assert_eq!(mesh.materials[1].texture.as_ref().unwrap().rgb, [[0, 0, 255]]);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn textures_are_placed_by_the_extension_and_its_own_set() {
    let mut file = Builder::new();
    let texture = file.texture(&[&[[255, 0, 0], [0, 0, 255]]]);
    let transform = json!({"offset": [0.5, 0], "scale": [0.5, 2], "texCoord": 1});
    let info = json!({"index": texture, "texCoord": 0, "extensions": {"KHR_texture_transform": transform}});
    let moved = file.material(json!({"pbrMetallicRoughness": {"baseColorTexture": info}}));
    let plain = file.material(json!({"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}}));
    let (first, second) = (file.floats(&[[0.0; 2]; 4], "VEC2"), file.floats(&IN_TEXTURE, "VEC2"));
    let sets = [("TEXCOORD_0", first), ("TEXCOORD_1", second)];
    file.square(0.0, &sets, Some(moved));
    file.square(2.0, &sets, Some(plain));
    let mesh = file.read().geometry;
    // v counts from the bottom: one minus twice v.
    assert_eq!(mesh.uvs[..4], [[0.625, 1.0], [0.875, 1.0], [0.875, -1.0], [0.625, -1.0]]);
    assert_eq!(mesh.uvs[4..], [[0.0, 1.0]; 4]);
}

#[test]
fn quantised_coordinates_are_undone_by_the_transform() {
    let mut file = Builder::new();
    let texture = file.texture(&[&[[255, 0, 0], [0, 0, 255]]]);
    let scale = 65535.0 / 4095.0;
    let info = json!({"index": texture, "extensions": {"KHR_texture_transform": {"scale": [scale, scale]}}});
    let material = file.material(json!({"pbrMetallicRoughness": {"baseColorTexture": info}}));
    let words: Vec<u8> =
        [0u16, 2047, 4095, 2047, 4095, 0, 0, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = file.view(&words);
    let uvs = file.accessor(view, 5123, 4, "VEC2");
    file.json["accessors"][uvs]["normalized"] = json!(true);
    file.square(0.0, &[("TEXCOORD_0", uvs)], Some(material));
    file.json["extensionsRequired"] = json!(["KHR_mesh_quantization"]);
    let uvs = file.read().geometry.uvs;
    for (found, expected) in uvs.iter().zip([[0.0, 0.50012], [1.0, 0.50012], [1.0, 1.0], [0.0, 1.0]]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    }
}

#[test]
fn samplers_say_what_lies_outside() {
    let mut file = Builder::new();
    let texture = file.texture(&[&[[255, 0, 0], [0, 0, 255]]]);
    file.json["samplers"] = json!([{"wrapS": 33071, "wrapT": 33648}, {"wrapS": 10497}]);
    file.json["textures"] = json!([{"source": 0, "sampler": 0}, {"source": 0, "sampler": 1}, {"source": 0}]);
    let uvs = file.floats(&IN_TEXTURE, "VEC2");
    for texture in texture..texture + 3 {
        let material =
            file.material(json!({"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}}));
        file.square(0.0, &[("TEXCOORD_0", uvs)], Some(material));
    }
    let mesh = file.read().geometry;
    let wraps: Vec<_> = mesh.materials.iter().map(|m| m.texture.as_ref().unwrap().wrap).collect();
    let repeat = [TextureWrap::Repeat; 2];
    assert_eq!(wraps, [[TextureWrap::Clamp, TextureWrap::Mirror], repeat, repeat]);
    let [_, a, b] = [0, 1, 2].map(|m: usize| mesh.materials[m].texture.clone().unwrap());
    assert!(std::sync::Arc::ptr_eq(&a, &b));
}

#[test]
fn a_texture_without_a_place_or_an_image_is_a_warning() {
    let mut file = Builder::new();
    file.texture(&[&[[255, 0, 0]]]);
    push(&mut file.json["textures"], json!({"extensions": {"KHR_texture_basisu": {"source": 0}}}));
    push(&mut file.json["images"], json!({"uri": "../x.png"}));
    push(&mut file.json["textures"], json!({"source": 1}));
    for texture in 0..4 {
        let material =
            file.material(json!({"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}}));
        let wrong = file.floats(&[[f32::NAN, 0.0]; 4], "VEC2");
        let attributes: &[(&str, usize)] = if texture == 0 { &[] } else { &[("TEXCOORD_0", wrong)] };
        file.square(0.0, attributes, Some(material));
    }
    file.json["extensionsUsed"] = json!(["KHR_texture_basisu", "KHR_materials_unlit", "ACME_shape"]);
    let Parsed { geometry: mesh, warnings } = file.read();
    assert_eq!(mesh.uv_corners, [[NO_INDEX; 3]; 8]);
    let told = [
        "the extension \"ACME_shape\" is not read",
        "8 triangles of materials with a texture have no texture coordinates; they have the colour of their material",
        "texture 1 cannot be read: its image is of a kind that is not read",
        "image 1 cannot be read: \"../x.png\" is in another file",
        "texture 3 cannot be read: there is none of this number",
    ];
    assert_eq!(warnings, told);
}

#[test]
fn textures_are_charged_to_the_object() {
    let mut file = Builder::new();
    let texture = file.texture(&[&[[255, 0, 0]; 10_000]]);
    let material = file.material(json!({"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}}));
    file.square(0.0, &[], Some(material));
    let fault = read_scene(&file.glb(), true, &mut NoFiles, &Budget::new(20_000)).unwrap_err();
    let error = fault.in_file(std::path::Path::new("a.glb")).to_string();
    assert!(error.starts_with("a.glb: expected at most 0 MiB decoded for one object"), "{error}");
    assert!(error.contains("texture of image 0 of 10000 x 1 pixels"), "{error}");
    assert!(read_scene(&file.glb(), false, &mut NoFiles, &Budget::new(20_000)).is_ok());
}
