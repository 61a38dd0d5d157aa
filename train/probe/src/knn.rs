//! Classification by the nearest neighbours in cosine similarity.

use jepa3d_products::{Matrix, product};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::examples::Examples;

/// Queries compared with all examples at a time: bounds the memory of the similarities.
const QUERIES: usize = 512;

/// The class of each of `queries` `[n, width]`: the most frequent among its `k` nearest examples.
///
/// Similarity is the cosine; equal similarities rank by the lower index. Of classes with equally many votes the one that
/// has the nearest neighbour wins. A vector of length 0 has similarity 0 to everything. With fewer than `k` examples all vote.
///
/// # Errors
/// Fails if `k` is 0, sizes do not fit or there is no example.
pub(crate) fn nearest_neighbours(examples: Examples<'_>, queries: &[f32], k: usize) -> Result<Vec<i32>> {
    let (n, width) = (examples.labels.len(), examples.width);
    if k == 0
        || n == 0
        || width == 0
        || examples.values.len() != n * width
        || !queries.len().is_multiple_of(width)
    {
        return Err(Error::Features {
            what: "nearest neighbours".to_owned(),
            expected: "k of at least 1, and examples and queries of one width".to_owned(),
            found: format!("k {k}, {n} examples, width {width}, {} query values", queries.len()),
        });
    }
    Ok(judge_similarities(examples.values, queries, width, |_, row| elect(row, examples.labels, k)))
}

/// What `judge` makes of the number of each query and its cosines with all examples, in the order of the queries.
///
/// # Shapes
/// `examples [n,width]` with n > 0, `queries [m,width]` -> `[m]`; `judge` sees `[n]`.
pub(crate) fn judge_similarities<T: Send>(
    examples: &[f32],
    queries: &[f32],
    width: usize,
    judge: impl Fn(usize, &[f32]) -> T + Sync,
) -> Vec<T> {
    let known = normalise_rows(examples, width);
    let mut found = Vec::with_capacity(queries.len() / width);
    for part in queries.chunks(QUERIES * width) {
        let part = normalise_rows(part, width);
        let similarities = product(Matrix::new(&part, width), Matrix::new(&known, width).transpose());
        let rows = similarities.par_chunks_exact(known.len() / width).enumerate();
        let start = found.len();
        found.extend(rows.map(|(i, row)| judge(start + i, row)).collect::<Vec<_>>());
    }
    found
}

/// Scales rows to length 1; a zero row stays 0.
fn normalise_rows(values: &[f32], width: usize) -> Vec<f32> {
    let unit = |row: &[f32]| {
        let length = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
        row.iter().map(|&x| (f64::from(x) * factor) as f32).collect::<Vec<_>>()
    };
    values.chunks_exact(width).flat_map(unit).collect()
}

/// The class with most votes among the `k` most similar.
fn elect(similarities: &[f32], labels: &[i32], k: usize) -> i32 {
    let mut order: Vec<u32> = (0..similarities.len() as u32).collect();
    let nearer =
        |&a: &u32, &b: &u32| similarities[b as usize].total_cmp(&similarities[a as usize]).then(a.cmp(&b));
    let k = k.min(order.len());
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, nearer);
        order.truncate(k);
    }
    order.sort_unstable_by(nearer);
    let votes = |label: i32| order.iter().filter(|&&i| labels[i as usize] == label).count();
    let mut best = (0, labels[order[0] as usize]);
    // In order of nearness, so that the first of equal counts is the class of the nearest.
    for label in order.iter().map(|&i| labels[i as usize]) {
        let count = votes(label);
        best = if count > best.0 { (count, label) } else { best };
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    #[test]
    fn equals_sorting_all_similarities() {
        let mut draws = Draws::new(3, "knn", "test");
        let (n, m, width) = (700, 530, 9);
        let mut fill = |rows: usize| (0..rows * width).map(|_| draws.normal() as f32).collect::<Vec<_>>();
        let (values, queries) = (fill(n), fill(m));
        let labels: Vec<i32> = (0..n as i32).map(|i| i * 7 % 5).collect();
        let found =
            nearest_neighbours(Examples { values: &values, width, labels: &labels }, &queries, 20).unwrap();
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let mut wrong = 0;
        for (query, found) in queries.chunks_exact(width).zip(found) {
            let mut all: Vec<_> =
                values.chunks_exact(width).enumerate().map(|(i, v)| (-cosine(query, v), i)).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            let near: Vec<i32> = all[..20].iter().map(|&(_, i)| labels[i]).collect();
            let count = |l: i32| near.iter().filter(|&&x| x == l).count();
            let most = near.iter().map(|&l| count(l)).max().unwrap();
            wrong += usize::from(near.iter().copied().find(|&l| count(l) == most).unwrap() != found);
        }
        assert!(wrong <= 1, "{wrong} of {m} differ; single precision may exchange two neighbours");
    }

    #[test]
    fn ties_of_votes_go_to_the_class_of_the_nearest() {
        let values = [1.0, 0.0, 0.9, 0.1, 0.8, 0.2, 0.7, 0.3];
        let examples = Examples { values: &values, width: 2, labels: &[2, 1, 1, 2] };
        assert_eq!(nearest_neighbours(examples, &[1.0, 0.0], 4).unwrap(), [2]);
        assert_eq!(nearest_neighbours(examples, &[1.0, 0.0], 3).unwrap(), [1]);
        assert_eq!(nearest_neighbours(examples, &[1.0, 0.0], 9).unwrap(), [2]);
    }

    #[test]
    fn equal_similarities_rank_by_index_and_zero_vectors_are_far_from_all() {
        let values = [2.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        let examples = Examples { values: &values, width: 2, labels: &[7, 8, 9] };
        assert_eq!(nearest_neighbours(examples, &[3.0, 0.0, 0.0, 0.0], 1).unwrap(), [7, 7]);
    }

    #[test]
    fn nothing_to_vote_is_an_error() {
        let examples = Examples { values: &[], width: 2, labels: &[] };
        let error = nearest_neighbours(examples, &[1.0, 0.0], 20).unwrap_err().to_string();
        let expected = "features: nearest neighbours: expected k of at least 1, and examples and queries of one \
                        width, found k 20, 0 examples, width 2, 2 query values";
        assert_eq!(error, expected);
    }
}
