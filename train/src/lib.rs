//! Reads prepared datasets: training, evaluation and inspection.
