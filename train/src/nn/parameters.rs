//! The parameters of a model by name: seeded initial values, roles, and reading them back from a checkpoint.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use jepa3d_schemas::Draws;

use crate::error::{Error, Result};

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained by the optimiser.
    Trained,
    /// Part of the target encoder: follows the parameter of the encoder.
    Target,
    /// A running statistic.
    Statistic,
    /// Declared by the official code, never used: kept, so that its strict loading accepts the file.
    Unused,
}

/// One named tensor.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its official name.
    pub name: String,
    /// Its values.
    pub var: Var,
    /// What becomes of it.
    pub role: Role,
}

/// Shape and values of every parameter, by name.
pub type NamedValues = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// All named tensors of a model, in the order they were made.
#[derive(Debug)]
pub struct Parameters {
    list: Vec<Parameter>,
    by_name: BTreeMap<String, usize>,
    seed: u64,
    device: Device,
}

impl Parameters {
    /// An empty set whose initial values will be drawn from `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { list: Vec::new(), by_name: BTreeMap::new(), seed, device: device.clone() }
    }

    /// All of them.
    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Parameter] {
        &self.list
    }

    /// Those of a role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(move |p| p.role == role)
    }

    /// The parameter of a name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.by_name.get(name).map(|&i| &self.list[i])
    }

    /// A tensor of uniform draws in `[-bound, bound]`, a function of (seed, name).
    pub(crate) fn uniform(&mut self, name: &str, shape: &[usize], bound: f64) -> Result<Tensor> {
        let mut draws = Draws::new(self.seed, name, "initial weights");
        let count = shape.iter().product();
        let values = (0..count).map(|_| draws.range(-bound, bound) as f32).collect();
        self.add(name, shape, values, Role::Trained)
    }

    /// A tensor of draws from a normal distribution cut off at two standard deviations.
    pub(crate) fn truncated_normal(&mut self, name: &str, shape: &[usize], std: f64) -> Result<Tensor> {
        let mut draws = Draws::new(self.seed, name, "initial weights");
        let mut draw = || loop {
            let z = draws.normal();
            if z.abs() <= 2.0 {
                return (z * std) as f32;
            }
        };
        let values = (0..shape.iter().product()).map(|_| draw()).collect();
        self.add(name, shape, values, Role::Trained)
    }

    /// A tensor of one value.
    pub(crate) fn constant(&mut self, name: &str, shape: &[usize], value: f32, role: Role) -> Result<Tensor> {
        self.add(name, shape, vec![value; shape.iter().product()], role)
    }

    /// A copy of another tensor.
    pub(crate) fn copy_of(&mut self, name: &str, source: &Tensor, role: Role) -> Result<Tensor> {
        let values = source.flatten_all()?.to_vec1()?;
        self.add(name, source.dims(), values, role)
    }

    fn add(&mut self, name: &str, shape: &[usize], values: Vec<f32>, role: Role) -> Result<Tensor> {
        let var = Var::from_vec(values, shape, &self.device)?;
        let tensor = var.as_tensor().clone();
        let before = self.by_name.insert(name.to_owned(), self.list.len());
        assert!(before.is_none(), "parameter {name} is made twice");
        self.list.push(Parameter { name: name.to_owned(), var, role });
        Ok(tensor)
    }

    /// The values of every parameter, by name.
    ///
    /// # Errors
    /// Fails if a device does not give them.
    pub fn values(&self) -> Result<NamedValues> {
        self.list
            .iter()
            .map(|p| {
                let tensor = p.var.as_tensor();
                Ok((p.name.clone(), (tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1()?)))
            })
            .collect()
    }

    /// Sets every parameter from `values`; extra entries are ignored.
    ///
    /// # Errors
    /// Fails, before anything is set, if one is missing or of another shape: the error names all of them, with
    /// both shapes.
    pub fn set(&self, path: &std::path::Path, values: &NamedValues) -> Result<()> {
        let mut wrong = Vec::new();
        for p in &self.list {
            let dims = p.var.dims();
            match values.get(&p.name) {
                None => wrong.push(format!("{}: expected {dims:?}, found none", p.name)),
                Some((shape, _)) if shape != dims => {
                    wrong.push(format!("{}: expected {dims:?}, found {shape:?}", p.name));
                }
                Some(_) => {}
            }
        }
        if !wrong.is_empty() {
            return Err(Error::Misfit { path: path.to_owned(), wrong });
        }
        for p in &self.list {
            let (shape, values) = &values[&p.name];
            p.var.set(&Tensor::from_slice(values, shape.as_slice(), &self.device)?)?;
        }
        Ok(())
    }
}
