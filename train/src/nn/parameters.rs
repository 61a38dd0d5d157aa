//! The parameters of a model by name: values, role, whether they decay, and which copy follows them.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Tensor, Var};

use crate::error::{Error, Result};

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterRole {
    /// Trained by the optimiser.
    Trained,
    /// Part of the target encoder: follows the parameter that it is the copy of.
    Target,
    /// A running statistic.
    Statistic,
    /// Declared by the official code, never used: kept, so that its strict loading accepts the file.
    Unused,
}

/// One named tensor.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// Its official name.
    pub name: String,
    /// Its values.
    pub var: Var,
    /// What becomes of it.
    pub role: ParameterRole,
    /// Whether weight decay pulls it to zero: weights, not biases, norms and tokens.
    pub decays: bool,
    /// Where in the list its copy in the target encoder stands, which follows it.
    pub target: Option<usize>,
}

/// Shape and numbers of a tensor, off any device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HostTensor {
    pub dims: Vec<usize>,
    pub values: Vec<f32>,
}

/// Tensors of a checkpoint by name.
pub(crate) type NamedTensors = BTreeMap<String, HostTensor>;

/// All named tensors of a model, in the order they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    list: Vec<Parameter>,
    by_name: BTreeMap<String, usize>,
}

impl Parameters {
    /// All of them.
    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Parameter] {
        &self.list
    }

    /// Those of one role.
    pub(crate) fn with_role(&self, role: ParameterRole) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(move |p| p.role == role)
    }

    /// Those that are trained.
    pub(crate) fn trained(&self) -> impl Iterator<Item = &Parameter> {
        self.with_role(ParameterRole::Trained)
    }

    /// The parameter of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&Parameter> {
        self.by_name.get(name).map(|&i| &self.list[i])
    }

    /// Every parameter that has a copy in the target encoder, with that copy.
    pub(crate) fn twins(&self) -> impl Iterator<Item = (&Parameter, &Parameter)> {
        self.list.iter().filter_map(|p| Some((p, &self.list[p.target?])))
    }

    /// Adds a parameter; `source` names the one that it follows.
    ///
    /// # Errors
    /// Fails if there is one of this name already, or none of the name `source`.
    pub(super) fn add(&mut self, parameter: Parameter, source: Option<&str>) -> candle_core::Result<()> {
        if self.by_name.contains_key(&parameter.name) {
            candle_core::bail!("parameter {} is made twice", parameter.name)
        }
        let at = self.list.len();
        if let Some(source) = source {
            let Some(&followed) = self.by_name.get(source) else {
                candle_core::bail!("{}: no parameter {source} to follow", parameter.name)
            };
            self.list[followed].target = Some(at);
        }
        self.by_name.insert(parameter.name.clone(), at);
        self.list.push(parameter);
        Ok(())
    }

    /// The values of every parameter, by name.
    ///
    /// # Errors
    /// Fails if a device does not give them.
    pub(crate) fn values(&self) -> Result<NamedTensors> {
        let values = |p: &Parameter| -> Result<HostTensor> {
            let tensor = p.var.as_tensor();
            Ok(HostTensor { dims: tensor.dims().to_vec(), values: tensor.flatten_all()?.to_vec1()? })
        };
        self.list.iter().map(|p| Ok((p.name.clone(), values(p)?))).collect()
    }

    /// Sets the parameters whose names `is_part` knows from `values`, and leaves the others as they are.
    ///
    /// # Errors
    /// Fails as [`Parameters::set`] does.
    pub(crate) fn set_part(
        &self,
        path: &Path,
        values: &NamedTensors,
        is_part: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let mut all = self.values()?;
        all.retain(|name, _| !is_part(name));
        all.extend(values.clone());
        self.set(path, &all)
    }

    /// Sets every parameter from `values`; extra entries are ignored.
    ///
    /// # Errors
    /// Fails, before anything is set, if one is missing or of another shape: the error names `path` and all of them, with
    /// both shapes.
    pub(crate) fn set(&self, path: &Path, values: &NamedTensors) -> Result<()> {
        let mut wrong = Vec::new();
        for p in &self.list {
            let dims = p.var.dims();
            match values.get(&p.name) {
                None => wrong.push(format!("{}: expected {dims:?}, found none", p.name)),
                Some(found) if found.dims != dims => {
                    wrong.push(format!("{}: expected {dims:?}, found {:?}", p.name, found.dims));
                }
                Some(_) => {}
            }
        }
        if !wrong.is_empty() {
            return Err(Error::Misfit { path: path.to_owned(), wrong });
        }
        for p in &self.list {
            let found = &values[&p.name];
            p.var.set(&Tensor::from_slice(&found.values, found.dims.as_slice(), p.var.device())?)?;
        }
        Ok(())
    }
}
