//! The colour of a surface at a point: texture, vertex colours and material put together by the mesh's rule.

use jepa3d_schemas::{
    ColorRule, Material, Mesh, NO_INDEX, Texture, TextureWrap, linear_from_srgb, srgb_from_linear,
};

/// Diffuse colour of a triangle about which nothing is known, in a mesh that gives others a colour.
const GREY: [f32; 3] = [0.8; 3];
const WHITE: [f32; 3] = [1.0; 3];

/// The sum of three corners, weighted.
pub(crate) fn blend<const D: usize>(corners: [[f64; D]; 3], weights: [f64; 3]) -> [f64; D] {
    std::array::from_fn(|i| (0..3).map(|c| corners[c][i] * weights[c]).sum())
}

/// The sRGB colour of triangle `t` at barycentric `weights`, by the mesh's [`ColorRule`].
pub(crate) fn surface_color(mesh: &Mesh, t: usize, weights: [f64; 3]) -> [u8; 3] {
    let material = mesh.triangle_materials.get(t).and_then(|&m| mesh.materials.get(m as usize));
    let texel = material.and_then(|material| textured(mesh, t, material, weights));
    let is_product = mesh.color_rule == ColorRule::Product;
    let vertices = (!mesh.vertex_colors.is_empty() && (is_product || texel.is_none()))
        .then(|| mesh.triangles[t].map(|v| mesh.vertex_colors[v as usize].map(f64::from)));
    let unknown = if is_product { WHITE } else { GREY };
    match (texel, vertices) {
        (None, None) => bytes_of(material.map_or(unknown, |m| m.diffuse).map(f64::from)),
        (None, Some(corners)) if !is_product => {
            blend(corners, weights).map(|x| x.round().clamp(0.0, 255.0) as u8)
        }
        (texel, vertices) => {
            let diffuse = material.map_or(WHITE, |m| m.diffuse);
            multiply(texel, vertices.map(|corners| blend(corners.map(light_of), weights)), diffuse)
        }
    }
}

/// The texel that a material shows at a point of a triangle that has texture coordinates.
fn textured(mesh: &Mesh, t: usize, material: &Material, weights: [f64; 3]) -> Option<[u8; 3]> {
    let texture = material.texture.as_deref()?;
    let indices = mesh.uv_corners.get(t).filter(|c| !c.contains(&NO_INDEX))?;
    let [u, v] = blend(indices.map(|i| mesh.uvs[i as usize].map(f64::from)), weights);
    Some(texel(texture, u, v))
}

/// Product of a texel, blended vertex colours (linear light) and a diffuse colour (sRGB).
fn multiply(texel: Option<[u8; 3]>, vertices: Option<[f64; 3]>, diffuse: [f32; 3]) -> [u8; 3] {
    match (texel, vertices) {
        // Most textures are not tinted: their bytes need no way through linear light and back.
        (Some(texel), None) if diffuse == WHITE => texel,
        _ => {
            let texel = texel.map_or([1.0; 3], |texel| light_of(texel.map(f64::from)));
            let vertices = vertices.unwrap_or([1.0; 3]);
            bytes_of(std::array::from_fn(|i| {
                let diffuse = linear_from_srgb(f64::from(diffuse[i].clamp(0.0, 1.0)));
                srgb_from_linear(texel[i] * vertices[i] * diffuse)
            }))
        }
    }
}

/// Linear light of an sRGB colour of 0 to 255.
fn light_of(color: [f64; 3]) -> [f64; 3] {
    color.map(|x| linear_from_srgb(x / 255.0))
}

/// Bytes of an sRGB colour of 0 to 1.
fn bytes_of(color: [f64; 3]) -> [u8; 3] {
    color.map(|x| (x.clamp(0.0, 1.0) * 255.0).round() as u8)
}

/// The texel at (u, v), origin at the lower left.
fn texel(texture: &Texture, u: f64, v: f64) -> [u8; 3] {
    let at = |x: f64, wrap: TextureWrap, size: u32| {
        ((wrapped(x, wrap) * f64::from(size)) as usize).min(size as usize - 1)
    };
    let column = at(u, texture.wrap[0], texture.width);
    let row = at(1.0 - v, texture.wrap[1], texture.height);
    texture.rgb[row * texture.width as usize + column]
}

/// Where in `[0,1]` a texture is looked up; what is not finite counts as 0.
fn wrapped(x: f64, wrap: TextureWrap) -> f64 {
    if !x.is_finite() {
        return 0.0;
    }
    match wrap {
        TextureWrap::Repeat => x - x.floor(),
        TextureWrap::Clamp => x.clamp(0.0, 1.0),
        TextureWrap::Mirror => {
            let twice = x.rem_euclid(2.0);
            if twice > 1.0 { 2.0 - twice } else { twice }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const CENTER: [f64; 3] = [1.0 / 3.0; 3];

    fn texture(wrap: TextureWrap) -> Texture {
        let rgb = vec![[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]];
        Texture { width: 2, height: 2, rgb, wrap: [wrap; 2] }
    }

    /// One triangle with a material; its texture coordinates lie on the upper right texel.
    fn triangle(diffuse: [f32; 3], texture: Option<Texture>, rule: ColorRule) -> Mesh {
        Mesh {
            positions: vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            triangles: vec![[0, 1, 2]],
            uvs: vec![[0.75, 0.75]],
            uv_corners: vec![[0; 3]],
            triangle_materials: vec![0],
            materials: vec![Material { name: "m".into(), diffuse, texture: texture.map(Arc::new) }],
            color_rule: rule,
            ..Mesh::default()
        }
    }

    #[test]
    fn the_upper_left_texel_is_the_first_and_wrapping_is_by_the_texture() {
        let repeat = texture(TextureWrap::Repeat);
        for (u, v) in [(0.25, 0.75), (-0.75, 2.75), (1.25, 0.75)] {
            assert_eq!(texel(&repeat, u, v), [255, 0, 0]);
        }
        assert_eq!(texel(&repeat, 0.75, 0.25), [9, 9, 9]);
        let clamp = texture(TextureWrap::Clamp);
        assert_eq!((texel(&clamp, 1.25, 0.75), texel(&clamp, -7.0, 0.75)), ([0, 255, 0], [255, 0, 0]));
        assert_eq!((texel(&clamp, 0.25, 1.5), texel(&clamp, 0.25, -0.5)), ([255, 0, 0], [0, 0, 255]));
        let mirror = texture(TextureWrap::Mirror);
        assert_eq!((texel(&mirror, 1.25, 0.75), texel(&mirror, 1.75, 0.75)), ([0, 255, 0], [255, 0, 0]));
        assert_eq!((texel(&mirror, -0.25, 0.75), texel(&mirror, 2.25, 0.75)), ([255, 0, 0], [255, 0, 0]));
        assert_eq!(texel(&mirror, 0.25, 1.25), [255, 0, 0]);
        assert_eq!(texel(&mirror, f64::NAN, 0.75), [255, 0, 0]);
    }

    #[test]
    fn a_texture_is_multiplied_by_its_material() {
        for rule in [ColorRule::First, ColorRule::Product] {
            let plain = triangle([1.0; 3], Some(texture(TextureWrap::Repeat)), rule);
            assert_eq!(surface_color(&plain, 0, CENTER), [0, 255, 0]);
            let tinted = triangle([1.0, 0.5, 1.0], Some(texture(TextureWrap::Repeat)), rule);
            assert_eq!(surface_color(&tinted, 0, CENTER), [0, 128, 0]);
        }
    }

    #[test]
    fn vertex_colours_replace_or_multiply() {
        let with_vertices = |rule, texture| {
            let mut mesh = triangle([1.0, 0.0, 0.0], texture, rule);
            mesh.vertex_colors = vec![[255, 255, 0], [255, 0, 0], [255, 0, 0]];
            surface_color(&mesh, 0, CENTER)
        };
        // A third of 255 as stored numbers, of light, and nothing through a red material.
        assert_eq!(with_vertices(ColorRule::First, None), [255, 85, 0]);
        assert_eq!(with_vertices(ColorRule::Product, None), [255, 0, 0]);
        let mut mesh = triangle([1.0; 3], None, ColorRule::Product);
        mesh.vertex_colors = vec![[255, 255, 0], [255, 0, 0], [255, 0, 0]];
        assert_eq!(surface_color(&mesh, 0, CENTER), [255, 156, 0]);
        mesh.materials[0].texture = Some(Arc::new(texture(TextureWrap::Repeat)));
        assert_eq!(surface_color(&mesh, 0, CENTER), [0, 156, 0]);
        mesh.color_rule = ColorRule::First;
        assert_eq!(surface_color(&mesh, 0, CENTER), [0, 255, 0]);
    }

    #[test]
    fn a_triangle_of_no_material_is_white_in_a_product_else_grey() {
        for (rule, color) in [(ColorRule::First, [204; 3]), (ColorRule::Product, [255; 3])] {
            let mut mesh = triangle([1.0, 0.0, 0.0], None, rule);
            mesh.triangle_materials = vec![NO_INDEX];
            assert_eq!(surface_color(&mesh, 0, CENTER), color);
        }
    }
}
