//! How parameters come to be: layers ask candle-nn's variable builder for them by name, and the store behind it draws them.
//!
//! What a layer asks for says what the parameter is: how it begins, whether it is trained, whether it decays. Initial values
//! are functions of (seed, name). A target encoder is made by the same constructors from a builder of
//! [`ParameterStore::copies`]: every parameter begins as the copy of its twin, and the twin knows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, Var, bail};
use candle_nn::var_builder::{Backend, VarBuilderArgs};
use jepa3d_schemas::Draws;

use super::parameters::{Parameter, ParameterRole, Parameters};

/// What layers are made from: `vb.pp("attn")` is the builder below that name.
pub(crate) type ParameterBuilder<'a> = VarBuilderArgs<'a, ParameterStore>;

/// What a layer asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum ParameterKind {
    /// Nothing new: the parameter that has been made under this name.
    #[default]
    Existing,
    /// Uniform in `[-bound, bound]`; trained, decays.
    Weight { bound: f64 },
    /// Uniform in `[-bound, bound]`; trained.
    Bias { bound: f64 },
    /// Scale or shift of a norm, one value; trained.
    Norm { value: f32 },
    /// A learned vector that stands among tokens: normal draws cut off at two standard deviations, or zeros; trained.
    Token { std: f64 },
    /// A running statistic, one value at first.
    Statistic { value: f32 },
    /// What the official code declares and never uses, one value.
    Unused { value: f32 },
}

impl ParameterKind {
    fn role(self) -> ParameterRole {
        match self {
            Self::Statistic { .. } => ParameterRole::Statistic,
            Self::Unused { .. } => ParameterRole::Unused,
            _ => ParameterRole::Trained,
        }
    }

    fn decays(self) -> bool {
        matches!(self, Self::Weight { .. })
    }

    /// `count` initial values.
    fn draw(self, count: usize, draws: &mut Draws) -> Vec<f32> {
        match self {
            Self::Weight { bound } | Self::Bias { bound } => {
                (0..count).map(|_| draws.range(-bound, bound) as f32).collect()
            }
            Self::Token { std } if std > 0.0 => {
                (0..count).map(|_| (truncated_normal(draws) * std) as f32).collect()
            }
            Self::Norm { value } | Self::Statistic { value } | Self::Unused { value } => vec![value; count],
            Self::Token { .. } | Self::Existing => vec![0.0; count],
        }
    }
}

fn truncated_normal(draws: &mut Draws) -> f64 {
    loop {
        let z = draws.normal();
        if z.abs() <= 2.0 {
            return z;
        }
    }
}

/// Which parameters a builder copies, and what becomes of the copies.
#[derive(Clone, Debug)]
struct CopyRule {
    /// What stands before the names of the originals ..
    from: String,
    /// .. and before those of their copies.
    to: String,
    /// Copies of running statistics follow theirs; else whoever made them sets them.
    statistics_follow: bool,
}

impl CopyRule {
    fn source_of(&self, name: &str) -> candle_core::Result<String> {
        let Some(rest) = name.strip_prefix(&self.to).and_then(|rest| rest.strip_prefix('.')) else {
            bail!("parameter {name}: expected a name below {}", self.to)
        };
        Ok(if self.from.is_empty() { rest.to_owned() } else { format!("{}.{rest}", self.from) })
    }
}

/// The parameters made so far; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ParameterStore {
    seed: u64,
    device: Device,
    made: Arc<Mutex<Parameters>>,
    copies: Option<CopyRule>,
}

impl ParameterStore {
    /// A store without parameters, whose initial values will be drawn from `seed`.
    pub(crate) fn new(seed: u64, device: &Device) -> Self {
        Self { seed, device: device.clone(), made: Arc::default(), copies: None }
    }

    /// Makes parameters that are trained.
    pub(crate) fn builder(&self) -> ParameterBuilder<'static> {
        VarBuilderArgs::new_with_args(self.clone(), DType::F32, &self.device)
    }

    /// Makes copies below `to` of the parameters below `from` (empty: of all), which follow them. Copies of running
    /// statistics follow too if `statistics_follow`; else they are statistics of their own.
    pub(crate) fn copies(&self, from: &str, to: &str, statistics_follow: bool) -> ParameterBuilder<'static> {
        let rule = CopyRule { from: from.to_owned(), to: to.to_owned(), statistics_follow };
        let store = Self { copies: Some(rule), ..self.clone() };
        VarBuilderArgs::new_with_args(store, DType::F32, &self.device).pp(to)
    }

    /// All parameters that were made.
    pub(crate) fn into_parameters(self) -> Parameters {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Parameters> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, name: &str, shape: Shape, kind: ParameterKind) -> candle_core::Result<Tensor> {
        let mut draws = Draws::new(self.seed, name, "initial weights");
        let values = kind.draw(shape.elem_count(), &mut draws);
        let var = Var::from_vec(values, shape, &self.device)?;
        let tensor = var.as_tensor().clone();
        let role = kind.role();
        let decays = kind.decays();
        self.lock().add(Parameter { name: name.to_owned(), var, role, decays, target: None }, None)?;
        Ok(tensor)
    }

    fn copy(&self, name: &str, shape: &Shape, rule: &CopyRule) -> candle_core::Result<Tensor> {
        let source_name = rule.source_of(name)?;
        let mut made = self.lock();
        let Some(source) = made.get(&source_name) else {
            bail!("{name}: no parameter {source_name} to copy")
        };
        if source.var.shape() != shape {
            bail!("{name}: expected the shape {:?} of {source_name}, found {shape:?}", source.var.shape())
        }
        let follows = source.role != ParameterRole::Statistic || rule.statistics_follow;
        let role = if follows { ParameterRole::Target } else { source.role };
        let values = source.var.flatten_all()?.to_vec1::<f32>()?;
        let var = Var::from_vec(values, shape, &self.device)?;
        let tensor = var.as_tensor().clone();
        let copy = Parameter { name: name.to_owned(), var, role, decays: false, target: None };
        made.add(copy, follows.then_some(source_name.as_str()))?;
        Ok(tensor)
    }
}

impl Backend for ParameterStore {
    type Hints = ParameterKind;

    fn get(
        &self,
        shape: Shape,
        name: &str,
        kind: ParameterKind,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match (kind, &self.copies) {
            (ParameterKind::Existing, _) => self.get_unchecked(name, dtype, device),
            (_, Some(rule)) => self.copy(name, &shape, rule),
            (_, None) => self.make(name, shape, kind),
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        match self.lock().get(name) {
            Some(parameter) => Ok(parameter.var.as_tensor().clone()),
            None => bail!("no parameter {name} has been made"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().get(name).is_some()
    }
}
