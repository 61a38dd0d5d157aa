//! Collapse monitors: what is measured on every step and every few epochs, and when that raises an alarm.

mod alarms;
mod evaluation;
mod online_probe;
mod step_measures;
mod subset;

pub(crate) use alarms::Alarms;
pub(crate) use evaluation::{BestProbe, EvaluationRecord, JudgedEvaluation, MonitorState, OnlineEvaluation};
pub(crate) use step_measures::StepMeasures;
pub(crate) use subset::{MonitorSubset, SubsetSource};
