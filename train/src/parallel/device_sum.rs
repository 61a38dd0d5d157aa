//! Gradients of several devices, added where they are: NCCL carries them, each device adds them in the order of the processes.
//!
//! A gather and a sum instead of NCCL's own reduction, whose order depends on its rings: parts are added as they are on the CPU.

#[cfg(feature = "nccl")]
pub(crate) use with_nccl::DeviceSum;
#[cfg(not(feature = "nccl"))]
pub(crate) use without_nccl::DeviceSum;

#[cfg(not(feature = "nccl"))]
mod without_nccl {
    use candle_core::{Device, Tensor};

    use crate::error::Result;
    use crate::parallel::PartGroup;

    /// Never there: gradients pass through the host.
    pub(crate) enum DeviceSum {}

    impl DeviceSum {
        /// None.
        pub(crate) fn start(_: &Device, _: &PartGroup) -> Result<Option<Self>> {
            Ok(None)
        }

        /// Unreachable.
        pub(crate) fn sum(&self, _: &Tensor) -> Result<Tensor> {
            match *self {}
        }
    }
}

#[cfg(feature = "nccl")]
mod with_nccl {
    use candle_core::cuda_backend::CudaStorage;
    use candle_core::cuda_backend::cudarc::nccl::{Comm, Id};
    use candle_core::op::BackpropOp;
    use candle_core::{CudaDevice, Device, Storage, Tensor};

    use crate::error::{Error, Result};
    use crate::parallel::PartGroup;

    /// Numbers that are gathered at a time.
    const BUCKET: usize = 1 << 22;
    /// Bytes of what a communicator is known by.
    const ID_BYTES: usize = 128;

    /// The devices of all processes, each with one part of a batch.
    pub(crate) struct DeviceSum {
        communicator: Comm,
        device: CudaDevice,
    }

    impl DeviceSum {
        /// Joins the devices of all processes; none on the CPU, or with one process.
        ///
        /// # Errors
        /// Fails if NCCL does, or a process is lost.
        pub(crate) fn start(device: &Device, group: &PartGroup) -> Result<Option<Self>> {
            match device {
                Device::Cuda(device) if group.processes().world() > 1 => Self::join(device, group).map(Some),
                _ => Ok(None),
            }
        }

        /// As [`DeviceSum::start`], of one process as well.
        fn join(device: &CudaDevice, group: &PartGroup) -> Result<Self> {
            let (rank, world) = (group.processes().rank(), group.processes().world());
            // The first process's is everyone's.
            let own = Id::new().map_err(explain)?;
            let own: Vec<u8> = own.internal().iter().map(|&letter| letter as u8).collect();
            let all = group.gather_bytes(&own)?;
            let mut id = [0; ID_BYTES];
            id.iter_mut().zip(&all).for_each(|(to, &byte)| *to = byte as core::ffi::c_char);
            let communicator =
                Comm::from_rank(device.cuda_stream(), rank, world, Id::uninit(id)).map_err(explain)?;
            Ok(Self { communicator, device: device.clone() })
        }

        /// The sum over all processes of `own [n]`, in their order.
        ///
        /// # Errors
        /// Fails if NCCL does.
        pub(crate) fn sum(&self, own: &Tensor) -> Result<Tensor> {
            let length = own.elem_count();
            let starts = (0..length).step_by(BUCKET);
            let sums =
                starts.map(|start| self.sum_bucket(&own.narrow(0, start, BUCKET.min(length - start))?));
            Ok(Tensor::cat(&sums.collect::<Result<Vec<_>>>()?, 0)?)
        }

        fn sum_bucket(&self, own: &Tensor) -> Result<Tensor> {
            let (length, world) = (own.elem_count(), self.communicator.world_size());
            // Memory of its own, as long as the bucket: a copy would keep that of the whole tensor.
            let own = own.force_contiguous()?;
            let stream = self.device.cuda_stream();
            let driver = |error| Error::Together { reason: format!("CUDA: {error:?}") };
            let mut all = stream.alloc_zeros::<f32>(length * world).map_err(driver)?;
            match &*own.storage_and_layout().0 {
                Storage::Cuda(storage) => {
                    self.communicator
                        .all_gather(storage.as_cuda_slice::<f32>()?, &mut all)
                        .map_err(explain)?;
                }
                _ => return Err(Error::Together { reason: "gradients are not on the device".to_owned() }),
            }
            let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(all, self.device.clone()));
            let all = Tensor::from_storage(storage, (world, length), BackpropOp::none(), false);
            let first = all.get(0)?;
            (1..world).try_fold(first, |sum, rank| Ok((sum + all.get(rank)?)?))
        }
    }

    fn explain(error: candle_core::cuda_backend::cudarc::nccl::result::NcclError) -> Error {
        Error::Together { reason: format!("NCCL: {error:?}") }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::parallel::Processes;

        #[test]
        #[ignore = "needs a CUDA device"]
        fn the_sum_of_one_process_on_cuda_is_its_own() {
            let device = Device::new_cuda(0).unwrap();
            let group = PartGroup::new(1, Processes::alone());
            assert!(DeviceSum::start(&device, &group).unwrap().is_none(), "alone, nothing is gathered");
            let sum = DeviceSum::join(device.as_cuda_device().unwrap(), &group).unwrap();
            // Buckets: one that is not full; full ones and a rest.
            for length in [1, 1000, 2 * BUCKET + 3] {
                let own: Vec<f32> = (0..length).map(|i| (i as f32).sin()).collect();
                let tensor = Tensor::from_slice(&own, length, &device).unwrap();
                assert!(sum.sum(&tensor).unwrap().to_vec1::<f32>().unwrap() == own, "{length} numbers");
            }
        }
    }
}
