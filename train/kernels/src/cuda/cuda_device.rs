//! The kernels on a CUDA device of candle's: compiled by NVRTC when the first tensor comes, launched on candle's stream, products by
//! cuBLAS.
//!
//! Memory is candle's: every array is a tensor, so that what kernels give enters candle's graph without a copy. Everything runs on
//! one stream, in the order in which it was asked for; what is freed there is freed after it was last used.

use std::collections::HashMap;
use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::cublas::{result as cublas, sys as cublas_sys};
use candle_core::cuda_backend::cudarc::driver::result as driver;
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, DevicePtr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::{CudaDevice, DType, Device, Error, Result, Storage, Tensor, bail};

use super::device::{
    DeviceArray, DeviceFactor, DeviceMemory, DeviceProduct, KernelArgument, KernelDevice, LaunchShape,
    NumberKind,
};
use super::half_copies::HalfCopies;
use super::sources::join_programs;

/// What kernels are compiled for: the driver makes code for newer cards of it.
const ARCHITECTURE: &str = "compute_80";
/// Shared memory that a launch may have without being allowed more.
const PLAIN_SHARED: usize = 48 << 10;

/// A tensor as memory of kernels.
struct TensorMemory {
    tensor: Tensor,
    address: u64,
}

impl Debug for TensorMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x} of {:?}", self.address, self.tensor.shape())
    }
}

impl DeviceMemory for TensorMemory {
    fn address(&self) -> u64 {
        self.address
    }

    fn tensor(&self) -> Option<Tensor> {
        Some(self.tensor.clone())
    }
}

/// A device, and the kernels that were launched on it.
pub(crate) struct CudaKernels {
    device: CudaDevice,
    functions: Mutex<HashMap<String, CudaFunction>>,
    halves: HalfCopies,
}

/// The kernels for any device, as PTX; compiled once a process.
fn compile_kernels() -> Result<&'static str> {
    static COMPILED: OnceLock<std::result::Result<String, String>> = OnceLock::new();
    let compile = || {
        let options = CompileOptions {
            arch: Some(ARCHITECTURE),
            name: Some("jepa3d.cu".to_owned()),
            options: vec!["--std=c++17".to_owned()],
            ..CompileOptions::default()
        };
        compile_ptx_with_opts(join_programs(), options)
            .map(|ptx| ptx.to_src())
            .map_err(|error| error.to_string())
    };
    COMPILED.get_or_init(compile).as_deref().map_err(|message| Error::Msg(format!("NVRTC: {message}")))
}

fn wrap(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::wrap(error)
}

impl CudaKernels {
    /// The kernels of a device: the same for every tensor on it.
    ///
    /// # Errors
    /// Fails if the kernels cannot be compiled.
    pub(crate) fn open(device: &CudaDevice) -> Result<Arc<dyn KernelDevice>> {
        static OPEN: OnceLock<Mutex<Vec<Arc<CudaKernels>>>> = OnceLock::new();
        let mut open = OPEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = open.iter().find(|kernels| kernels.device.id() == device.id()) {
            return Ok(found.clone());
        }
        compile_kernels()?;
        let kernels = Arc::new(Self {
            device: device.clone(),
            functions: Mutex::default(),
            halves: HalfCopies::default(),
        });
        open.push(kernels.clone());
        Ok(kernels)
    }

    fn function(&self, name: &str) -> Result<CudaFunction> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = functions.get(name) {
            return Ok(function.clone());
        }
        let loaded = self.device.get_or_load_custom_func(name, "jepa3d", compile_kernels()?)?;
        let function = loaded.into_cuda_function();
        functions.insert(name.to_owned(), function.clone());
        Ok(function)
    }

    fn wrap_tensor(&self, tensor: Tensor, kind: NumberKind) -> Result<DeviceArray> {
        let (len, flat) = (tensor.elem_count(), tensor.flatten_all()?);
        let address = {
            let (storage, layout) = flat.storage_and_layout();
            let Storage::Cuda(storage) = &*storage else {
                bail!("a CUDA kernel was given a tensor on another device")
            };
            let stream = self.device.cuda_stream();
            let start = layout.start_offset() * kind.bytes();
            let first = match &storage.slice {
                CudaStorageSlice::F32(slice) => slice.device_ptr(&stream).0,
                CudaStorageSlice::F64(slice) => slice.device_ptr(&stream).0,
                CudaStorageSlice::BF16(slice) => slice.device_ptr(&stream).0,
                CudaStorageSlice::U32(slice) => slice.device_ptr(&stream).0,
                CudaStorageSlice::I64(slice) => slice.device_ptr(&stream).0,
                _ => bail!("a CUDA kernel was given numbers of {:?}", flat.dtype()),
            };
            first + start as u64
        };
        Ok(DeviceArray::new(Arc::new(TensorMemory { tensor: flat, address }), kind, len))
    }
}

/// Bytes that are free.
///
/// # Errors
/// Fails if the driver does.
pub(crate) fn free_memory(device: &CudaDevice) -> Result<u64> {
    device.cuda_stream().context().mem_get_info().map(|(free, _)| free as u64).map_err(wrap)
}

/// The first number of an array.
fn pointer(array: &DeviceArray) -> u64 {
    array.address() + array.offset() as u64
}

/// An argument in the width that kernels take.
#[derive(Clone, Copy)]
enum ArgumentWord {
    Wide(u64),
    Count(u32),
    Float(f32),
}

impl ArgumentWord {
    fn new(argument: KernelArgument<'_>) -> Result<Self> {
        Ok(match argument {
            KernelArgument::Array(array) | KernelArgument::Optional(Some(array)) => {
                Self::Wide(pointer(array))
            }
            KernelArgument::Optional(None) => Self::Wide(0),
            KernelArgument::Key(key) => Self::Wide(key),
            KernelArgument::Float(value) => Self::Float(value),
            KernelArgument::Count(count) => match u32::try_from(count) {
                Ok(count) => Self::Count(count),
                Err(_) => bail!("{count} numbers are more than a kernel counts: take a smaller batch"),
            },
        })
    }
}

impl KernelDevice for CudaKernels {
    #[allow(unsafe_code)]
    fn allocate(&self, kind: NumberKind, len: usize) -> Result<DeviceArray> {
        let dtype = match kind {
            NumberKind::F32 => DType::F32,
            NumberKind::F64 => DType::F64,
            NumberKind::Bf16 => DType::BF16,
            NumberKind::U32 => DType::U32,
            NumberKind::U64 => DType::I64,
        };
        // SAFETY: kernels write every number of an array before one is read; the emulated device fails tests where they do not.
        let tensor = unsafe { Tensor::empty(len.max(1), dtype, &Device::Cuda(self.device.clone()))? };
        Ok(self.wrap_tensor(tensor, kind)?.part(0..len))
    }

    #[allow(unsafe_code)]
    fn write(&self, array: &DeviceArray, bytes: &[u8]) -> Result<()> {
        assert_eq!(array.bytes(), bytes.len(), "as many bytes as the array has");
        let stream = self.device.cuda_stream();
        // SAFETY: the array has as many bytes, and pageable memory is read before the call returns.
        unsafe { driver::memcpy_htod_async(pointer(array), bytes, stream.cu_stream()) }.map_err(wrap)
    }

    #[allow(unsafe_code)]
    fn read(&self, array: &DeviceArray) -> Result<Vec<u8>> {
        let (stream, mut bytes) = (self.device.cuda_stream(), vec![0u8; array.bytes()]);
        // SAFETY: both have as many bytes, and the stream is waited for before they are looked at.
        unsafe { driver::memcpy_dtoh_async(&mut bytes, pointer(array), stream.cu_stream()) }.map_err(wrap)?;
        stream.synchronize().map_err(wrap)?;
        Ok(bytes)
    }

    #[allow(unsafe_code)]
    fn clear(&self, array: &DeviceArray) -> Result<()> {
        let stream = self.device.cuda_stream();
        // SAFETY: the array has as many bytes.
        unsafe { driver::memset_d8_async(pointer(array), 0, array.bytes(), stream.cu_stream()) }.map_err(wrap)
    }

    fn share(&self, tensor: &Tensor) -> Result<Option<DeviceArray>> {
        if tensor.dtype() != DType::F32 {
            bail!("a CUDA kernel was given numbers of {:?}", tensor.dtype());
        }
        self.wrap_tensor(tensor.detach(), NumberKind::F32).map(Some)
    }

    fn pointer(&self, array: &DeviceArray) -> u64 {
        pointer(array)
    }

    fn halves(&self) -> &HalfCopies {
        &self.halves
    }

    #[allow(unsafe_code)]
    fn launch(&self, kernel: &str, shape: LaunchShape, arguments: &[KernelArgument<'_>]) -> Result<()> {
        let function = self.function(kernel)?;
        if shape.shared_bytes > PLAIN_SHARED {
            let most = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(most, shape.shared_bytes as i32).map_err(wrap)?;
        }
        let words: Vec<ArgumentWord> =
            arguments.iter().map(|a| ArgumentWord::new(*a)).collect::<Result<_>>()?;
        let stream = self.device.cuda_stream();
        let mut builder = stream.launch_builder(&function);
        for word in &words {
            match word {
                ArgumentWord::Wide(value) => builder.arg(value),
                ArgumentWord::Count(value) => builder.arg(value),
                ArgumentWord::Float(value) => builder.arg(value),
            };
        }
        let ([gx, gy, gz], [bx, by, bz]) = (shape.grid, shape.block);
        let config = LaunchConfig {
            grid_dim: (gx, gy, gz),
            block_dim: (bx, by, bz),
            shared_mem_bytes: shape.shared_bytes as u32,
        };
        // SAFETY: number and widths of the arguments are the kernel's, and it stays in the arrays it is given: the emulated device
        // runs the same host code on the same source, and fails tests where either does not hold.
        unsafe { builder.launch(config) }.map_err(wrap)?;
        Ok(())
    }

    fn multiply(&self, product: DeviceProduct<'_>) -> Result<()> {
        match product {
            _ if product.is_empty() => Ok(()),
            DeviceProduct { depth: 0, adds: true, .. } => Ok(()),
            DeviceProduct { depth: 0, adds: false, out, .. } => self.clear(out.array),
            _ => self.run_product(product),
        }
    }
}

fn data_type(array: &DeviceArray) -> Result<cublas_sys::cudaDataType> {
    match array.kind() {
        NumberKind::F32 => Ok(cublas_sys::cudaDataType::CUDA_R_32F),
        NumberKind::Bf16 => Ok(cublas_sys::cudaDataType::CUDA_R_16BF),
        kind => bail!("products are of f32 or bf16, not of {kind:?}"),
    }
}

fn operation(factor: DeviceFactor<'_>) -> cublas_sys::cublasOperation_t {
    match factor.is_transposed {
        false => cublas_sys::cublasOperation_t::CUBLAS_OP_N,
        true => cublas_sys::cublasOperation_t::CUBLAS_OP_T,
    }
}

impl CudaKernels {
    /// cuBLAS counts columns first: there the transposes of all three are meant, and the factors change places.
    #[allow(unsafe_code)]
    fn run_product(&self, product: DeviceProduct<'_>) -> Result<()> {
        let DeviceProduct { left, right, out, rows, columns, depth, adds } = product;
        let compute = match (left.array.kind(), candle_core::cuda_backend::gemm_reduced_precision_f32()) {
            (NumberKind::F32, true) => cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            _ => cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let (alpha, beta) = (1.0f32, if adds { 1.0f32 } else { 0.0 });
        let blas = self.device.cublas_handle();
        // SAFETY: the arrays hold the factors and the result by these steps: the emulated device checks every access of the same
        // products; `alpha` and `beta` are read before the call returns.
        unsafe {
            cublas::gemm_ex(
                *blas.handle(),
                operation(right),
                operation(left),
                columns as i32,
                rows as i32,
                depth as i32,
                (&raw const alpha).cast(),
                pointer(right.array) as *const _,
                data_type(right.array)?,
                right.step as i32,
                pointer(left.array) as *const _,
                data_type(left.array)?,
                left.step as i32,
                (&raw const beta).cast(),
                pointer(out.array) as *mut _,
                data_type(out.array)?,
                out.step as i32,
                compute,
                cublas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
            )
        }
        .map_err(wrap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nvrtc_takes_the_kernels() {
        let ptx = compile_kernels().unwrap();
        for kernel in ["attention_backward_bf16", "adamw_update", "spread_maxima_f32"] {
            assert!(ptx.contains(&format!(".entry {kernel}(")), "{kernel}");
        }
    }
}
