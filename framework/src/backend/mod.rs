//! What a device must be able to do: fused operations on dfdx tensors, forward and backward, one file a family.
//!
//! dfdx's own CPU operations iterate strided, one element at a time, on one thread; here every hot path is one fused
//! kernel on the same tensors. The kernels know nothing of tapes: [`crate::autograd`] records them, the same way for
//! every device. A family has the same name in every layer: its operands and checks here, its kernels in `cpu` and
//! `cuda`, its recorded form in `autograd`.

mod activation;
mod attention;
mod contribution;
mod conv;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod draw;
mod dropout;
mod linear;
mod loss;
mod norm;
mod optimizer;
mod pool;
mod ranking;
mod tokens;

pub use crate::tensor::{
    Binary, Bits, Device, DeviceName, LayerGrads, Nonzeros, Precision, Reduce, Slot, TensorOps, Unary, Weight,
};
pub use activation::{Act, ActivationOps};
pub use attention::{AttentionOps, Heads};
pub use contribution::{Contribution, ContributionOps};
pub use conv::{Conv2d, Conv2dSaved, ConvOps, ConvTranspose2d, Patches, ReadyConv2d};
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use dfdx::tensor::Cpu;
pub use draw::{DrawOps, Pick, Picks, Values};
pub use dropout::{Dropout, DropoutOps};
pub use linear::{Linear, LinearGrads, LinearOps, LinearSaved, ReadyLinear};
pub use loss::{LossOps, LossValue, SumAndGrads, squared_error, squared_error_of_classes};
pub use norm::{BatchNorm, ChannelStats, NormOps};
pub use optimizer::{OptimizerOps, Update, Updated};
pub use pool::{Pool, PoolOps, Pooling};
pub use ranking::RankingOps;
pub use tokens::{Merge, TokenOps};

/// The vector instructions that kernels on this processor use: `avx512`, `avx2` or `baseline`. Sums of products are
/// added in another order with others, so that the last bits of a result depend on it.
pub fn vector_level() -> &'static str {
    cpu::common::simd::level().name()
}

/// Keeps this process to the vector instructions of this name (see [`vector_level`]) and lesser ones, for measurements:
/// before anything is computed, since patterns of nonzeros are cut for them. Products that the crate `gemm` does choose
/// for themselves. False for a name that there is not.
pub fn limit_vector_level(name: &str) -> bool {
    cpu::common::simd::limit(name)
}

/// Whether this thread's results may depend on the processor; [`Bits::Fastest`] unless [`use_bits`] says otherwise.
pub fn bits() -> Bits {
    cpu::common::simd::bits()
}

/// Has this thread compute with such bits from now on. Kernels spread over the threads of the rayon pool that they are
/// called in, so all of a pool are told: `ThreadPoolBuilder::start_handler(move |_| use_bits(bits))`.
pub fn use_bits(bits: Bits) {
    cpu::common::simd::use_bits(bits);
}

/// Runs `f` on this thread, and has the other threads of its rayon pool wait for the pieces of its work on the host, and for
/// nothing else: for passes so short that waking a thread for each operation would take as long as the operation.
pub fn together<R>(f: impl FnOnce() -> R) -> R {
    cpu::common::team::together(f)
}

/// Runs `f`, whose work on the CPU is computed by this thread alone.
pub fn alone<R>(f: impl FnOnce() -> R) -> R {
    cpu::common::team::alone(f)
}

/// The instructions that products in bf16 use on this processor: `amx`, `bf16` for AVX512-BF16, or
/// `portable` where it has none for them. Each adds up in an order of its own.
pub fn bf16_unit() -> &'static str {
    cpu::common::bf16::unit().name()
}

/// A device with every operation that models, criteria and the engine use: the sum of the families.
pub trait Backend:
    TensorOps
    + ActivationOps
    + AttentionOps
    + ContributionOps
    + ConvOps
    + DrawOps
    + DropoutOps
    + LinearOps
    + LossOps
    + NormOps
    + OptimizerOps
    + PoolOps
    + RankingOps
    + TokenOps
{
}

impl<B> Backend for B where
    B: TensorOps
        + ActivationOps
        + AttentionOps
        + ContributionOps
        + ConvOps
        + DrawOps
        + DropoutOps
        + LinearOps
        + LossOps
        + NormOps
        + OptimizerOps
        + PoolOps
        + RankingOps
        + TokenOps
{
}
