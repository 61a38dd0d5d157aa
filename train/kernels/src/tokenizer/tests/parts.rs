//! A batch in parts, in threads, against the same batch whole.

use std::sync::{Arc, Barrier, Mutex};

use candle_core::{Result, Tensor, Var};
use jepa3d_schemas::Draws;

use super::{assert_gradients, assert_near, patches, variable, vars};
use crate::linear::Precision;
use crate::parts::{BatchParts, gather_parts, sum_parts};
use crate::tape::Tape;
use crate::tokenizer::fixture::weights;
use crate::tokenizer::{BatchStats, Mode, TokenizerStatistics, tokenize, tokenize_counted, train_tokenizer};

/// Threads that meet.
#[derive(Debug)]
struct Threads {
    barrier: Barrier,
    handed: Mutex<Vec<Vec<f64>>>,
}

#[derive(Clone, Debug)]
struct ThreadPart {
    number: usize,
    count: usize,
    threads: Arc<Threads>,
}

impl ThreadPart {
    fn all(count: usize) -> Vec<Arc<dyn BatchParts>> {
        let threads =
            Arc::new(Threads { barrier: Barrier::new(count), handed: Mutex::new(vec![Vec::new(); count]) });
        (0..count)
            .map(|number| Arc::new(Self { number, count, threads: threads.clone() }) as Arc<dyn BatchParts>)
            .collect()
    }
}

impl BatchParts for ThreadPart {
    fn count(&self) -> usize {
        self.count
    }

    fn number(&self) -> usize {
        self.number
    }

    fn gather_wide(&self, _: &'static str, own: &[f64]) -> Result<Vec<f64>> {
        self.threads.handed.lock().unwrap()[self.number] = own.to_vec();
        self.threads.barrier.wait();
        let all = self.threads.handed.lock().unwrap().concat();
        self.threads.barrier.wait();
        Ok(all)
    }

    fn gather(&self, purpose: &'static str, own: &[f32]) -> Result<Vec<f32>> {
        let wide: Vec<f64> = own.iter().map(|&x| f64::from(x)).collect();
        Ok(self.gather_wide(purpose, &wide)?.into_iter().map(|x| x as f32).collect())
    }
}

/// Runs every part in a thread; what they give, in order.
fn run_parts<T: Send>(count: usize, run: impl Fn(&Arc<dyn BatchParts>) -> T + Sync) -> Vec<T> {
    let parts = ThreadPart::all(count);
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = parts.iter().map(|part| scope.spawn(move || run(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

struct Found {
    tokens: Tensor,
    gradients: Vec<Tensor>,
    stats: [BatchStats; 2],
}

/// `counted`: as voxel blocks of which all points count.
fn run(
    x: &Tensor,
    vars: &[Var],
    gradient: &Tensor,
    parts: Option<&Arc<dyn BatchParts>>,
    counted: bool,
) -> Found {
    let tape = Tape::default();
    let (tokens, stats) = match counted {
        false => {
            let (tokens, stats) = train_tokenizer(Precision::F32, x, &weights(vars), &tape, parts).unwrap();
            let TokenizerStatistics::Host(stats) = stats else { unreachable!("the CPU's") };
            (tokens, stats)
        }
        true => {
            let counts = vec![x.dim(1).unwrap() as u16; x.dim(0).unwrap()];
            let (tokens, stats) = tokenize_counted(x, &weights(vars), &counts, parts).unwrap();
            (tokens, stats.unwrap())
        }
    };
    let store = (&tokens * gradient).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |v: &Var| match tape.take(v.as_tensor()) {
        Some(values) => Tensor::from_vec(values, v.dims(), v.device()).unwrap(),
        None => store.get(v.as_tensor()).unwrap().clone(),
    };
    let gradients = vars.iter().map(of).collect();
    Found { tokens: tokens.detach(), gradients, stats }
}

#[test]
fn parts_make_the_tokens_and_gradients_of_the_whole() {
    let mut draws = Draws::new(11, "tokenizer parts", "test");
    let (vars, x) = (vars(&mut draws, [8, 16, 32, 12]), patches(&mut draws, 48, 8));
    // The parts are told apart by what they hold.
    let shift = variable(&mut draws, &[48, 1, 3], 0.0, 0.2).as_tensor().clone();
    let x = x.broadcast_add(&shift).unwrap().detach();
    let gradient = variable(&mut draws, &[48, 12], 0.0, 1.0).as_tensor().clone();
    let (whole, _) = tokenize(&x, &weights(&vars), &Mode::Train).unwrap();
    for counted in [false, true] {
        let want = run(&x, &vars, &gradient, None, counted);
        assert_near(&want.tokens, &whole, "the whole");
        for count in [2, 4] {
            let each = 48 / count;
            let of_part = |t: &Tensor, part: &Arc<dyn BatchParts>| {
                t.narrow(0, part.number() * each, each).unwrap().contiguous().unwrap()
            };
            let found = run_parts(count, |part| {
                run(&of_part(&x, part), &vars, &of_part(&gradient, part), Some(part), counted)
            });
            let tokens: Vec<&Tensor> = found.iter().map(|part| &part.tokens).collect();
            assert_near(&Tensor::cat(&tokens, 0).unwrap(), &want.tokens, "tokens");
            let sum = |at: usize| {
                found[1..]
                    .iter()
                    .fold(found[0].gradients[at].clone(), |sum, part| (sum + &part.gradients[at]).unwrap())
            };
            let sums: Vec<Tensor> = (0..vars.len()).map(sum).collect();
            assert_gradients(&sums, &want.gradients, &Mode::Train, &format!("{count} parts"));
            let near =
                |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + b.abs()));
            for part in &found {
                for (own, all) in part.stats.iter().zip(&want.stats) {
                    assert!(near(&own.mean, &all.mean) && near(&own.var, &all.var), "{count} parts");
                }
            }
        }
    }
}

/// `sum (x - mean of all parts)^2` in each part, and of all rows together: both ways to the gradient of the whole.
#[test]
fn nodes_hand_gradients_to_other_parts() {
    let mut draws = Draws::new(12, "tokenizer parts", "test");
    let x = variable(&mut draws, &[6, 5], 0.0, 1.0);
    let energy = |x: &Tensor, mean: &Tensor| x.broadcast_sub(mean)?.powf(4.0)?.sum_all();
    let whole = energy(&x, &x.mean_keepdim(0).unwrap()).unwrap().backward().unwrap();
    let want = whole.get(x.as_tensor()).unwrap();
    for gathers in [false, true] {
        let found = run_parts(3, |part| {
            let own =
                Var::from_tensor(&x.narrow(0, 2 * part.number(), 2).unwrap().contiguous().unwrap()).unwrap();
            let loss = match gathers {
                false => {
                    let mean = (sum_parts(&own.sum_keepdim(0).unwrap(), part).unwrap() / 6.0).unwrap();
                    energy(&own, &mean).unwrap()
                }
                // All make the same of all rows: a third of it is each part's share.
                true => {
                    let all = gather_parts(&own, part).unwrap();
                    (energy(&all, &all.mean_keepdim(0).unwrap()).unwrap() / 3.0).unwrap()
                }
            };
            loss.backward().unwrap().get(own.as_tensor()).unwrap().clone()
        });
        assert_near(&Tensor::cat(&found, 0).unwrap(), want, "gathered or summed");
    }
}
