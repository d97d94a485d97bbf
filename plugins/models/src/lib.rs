//! The networks that come with Secateur: each declares its parameters and unit groups, computes its output, and has its
//! file.

mod cnn;
mod mlp;
mod mobilenet_v2;
mod parts;
mod resnet;
mod vae;
mod vgg;
mod vit;
mod wide_resnet;
