//! The networks that come with Secateur: each declares its parameters and unit groups, computes its output, and has its
//! file.

mod cnn;
mod mlp;
mod resnet;
mod vae;
mod vgg;
mod vit;
