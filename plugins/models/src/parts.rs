//! What convolutional networks without hidden linear layers have in common.

use secateur::prelude::*;

/// A convolution without bias, with He's initial distribution over its inputs.
pub(crate) fn convolution(layout: &mut LayoutBuilder<'_>, name: &str, input: &Width, output: &Width, kernel: usize) {
    let init = Init::HeNormal { fan_in: input.count() * kernel * kernel };
    convolution_of(layout, name, input, output, kernel, init);
}

/// A convolution without bias, with an initial distribution of one's own.
pub(crate) fn convolution_of(
    layout: &mut LayoutBuilder<'_>,
    name: &str,
    input: &Width,
    output: &Width,
    kernel: usize,
    init: Init,
) {
    let shape = [output.count(), input.count(), kernel, kernel].into();
    let weight = ParamSpec::weight(format!("{name}.weight"), shape, init);
    layout.param(weight, &[(output, Role::Producer), (input, Role::Consumer)]);
}

/// The group of the channels that the blocks of a stage, counted from 0, add to.
pub(crate) fn residual(stage: usize) -> String {
    format!("residual{}", stage + 1)
}

/// How a kernel of an odd side moves so that an image keeps its size but for the stride.
pub(crate) fn same(kernel: usize, stride: usize) -> ConvOptions {
    ConvOptions { stride, padding: kernel / 2, pool: false }
}

/// `x [batch, channels, rows, columns]` -> the mean over the image, `[batch, channels]`.
pub(crate) fn mean_over_image<B: Backend>(cx: &mut Forward<'_, B>, x: &Tensor<B>) -> Result<Tensor<B>> {
    let (n, channels) = (x.shape()[0], x.shape()[1]);
    let pixels = x.count() / (n * channels).max(1);
    cx.tape().mean_tokens(&x.reshape([n * channels, pixels, 1])?, None)?.reshape([n, channels])
}
