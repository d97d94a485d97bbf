//! Losses on the tape against finite differences, and class ids that no logit is for.

use crate::common::{check, random};
use secateur::backend::{Act, ActivationOps as _, Cpu, LossOps as _};

#[test]
fn gradients_of_a_variational_loss_agree_with_finite_differences() {
    let (mu, logvar, noise) = (random([3, 4], "mu"), random([3, 4], "logvar"), random([3, 4], "noise").tracked(false));
    check(&[mu.clone(), logvar.clone()], |t, i| t.reparametrise(&i[0], &i[1], &noise).unwrap());
    check(&[mu, logvar], |t, i| t.gaussian_kld(&i[0], &i[1], 0.5).unwrap());
    let targets = Cpu::activation(Act::Sigmoid, &random([3, 4], "targets")).unwrap().tracked(false);
    check(&[random([3, 4], "logits")], |t, i| {
        let once = t.bce_logits(&i[0], &targets, 0.5).unwrap();
        t.add(&once, &once).unwrap()
    });
}

#[test]
fn a_class_beyond_the_output_is_named() {
    let error = Cpu::cross_entropy(&random([2, 2], "logits"), &[1, 2], 0.0, false).map(drop).unwrap_err().to_string();
    assert!(error.contains("row 1 has class 2, but the network's output has 2 classes (0 to 1)"), "{error}");
}
