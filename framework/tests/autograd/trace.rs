//! What a tape notes of every operation, against the operation itself.

use crate::common::{T, close, mask, pick, random, weight};
use secateur::autograd::{Call, Mapping, Part, Tape};
use secateur::backend::{
    Act, BatchNorm, Conv2d, ConvTranspose2d, Cpu, Heads, NormOps as _, Pool, Pooling, TokenOps as _,
};
use secateur::tensor::Tensor;

fn traced(f: impl Fn(&mut Tape<Cpu>) -> T) -> (Vec<Call<Cpu>>, T) {
    let mut tape = Tape::recording().tracing();
    let y = f(&mut tape);
    (tape.take_trace(), y)
}

/// A part of the map, zero where there is nothing of it.
fn part(call: &Call<Cpu>, part: Part, inputs: &[T]) -> T {
    let found = call.replay(&mut Tape::off(), inputs, part).unwrap();
    found.unwrap_or_else(|| Tensor::zeros(&Cpu::default(), call.output.shape()).unwrap())
}

fn named(inputs: &[T], name: &str) -> Vec<T> {
    inputs.iter().enumerate().map(|(i, x)| random(x.shape(), &format!("{name}{i}")).tracked(false)).collect()
}

/// The parts of one call make up the operation, and it is linear.
fn linear(f: impl Fn(&mut Tape<Cpu>) -> T) {
    let (calls, y) = traced(f);
    let [call] = &calls[..] else { panic!("{calls:?}: one call") };
    assert_eq!((call.output.id(), call.mapping), (y.id(), Mapping::Linear));
    let all = |x: &[T]| part(call, Part::All, x);
    let (positive, negative) = (|x: &[T]| part(call, Part::Positive, x), |x: &[T]| part(call, Part::Negative, x));
    close(&all(&call.inputs).add(&part(call, Part::Constant, &call.inputs)).unwrap().to_vec(), &y.to_vec(), 1e-5);
    let (a, b) = (named(&call.inputs, "a"), named(&call.inputs, "b"));
    let sum: Vec<T> = a.iter().zip(&b).map(|(a, b)| a.add(b).unwrap()).collect();
    close(&all(&sum).to_vec(), &all(&a).add(&all(&b)).unwrap().to_vec(), 1e-5);
    close(&positive(&a).sub(&negative(&a)).unwrap().to_vec(), &all(&a).to_vec(), 1e-5);
    // No coefficient of either part is below zero.
    for x in call.inputs.iter().enumerate().flat_map(|(n, x)| (0..x.count()).map(move |i| (n, i))) {
        let zeros = call.inputs.iter().map(|x| vec![0.0; x.count()]).collect::<Vec<_>>();
        let one = zeros.into_iter().zip(&call.inputs).enumerate().map(|(n, (mut values, like))| {
            if n == x.0 {
                values[x.1] = 1.0;
            }
            Tensor::from_vec(&Cpu::default(), values, like.shape()).unwrap()
        });
        let one: Vec<T> = one.collect();
        for found in [positive(&one), negative(&one)] {
            assert!(found.host().iter().all(|v| *v >= 0.0), "{call:?}: {x:?}");
        }
        let both = positive(&one).host().iter().zip(negative(&one).host().iter()).any(|(p, n)| *p > 0.0 && *n > 0.0);
        assert!(!both, "{call:?}: a coefficient has one sign");
    }
}

#[test]
fn linear_operations_are_made_up_of_their_parts() {
    let (x, w, b) = (random([5, 3], "x"), random([4, 3], "w"), random([4], "b"));
    let m = mask([4, 3]);
    linear(|t| t.linear(&x, weight(&w, Some(&m)), Some(b.clone()), Act::None, None).unwrap());
    linear(|t| t.linear(&x, weight(&w, None), None, Act::None, None).unwrap());
    linear(|t| t.add(&x, &random([5, 3], "y")).unwrap());
    let image = random([2, 3, 5, 4], "image");
    let (kernel, b) = (random([4, 3, 3, 3], "kernel"), random([4], "b"));
    linear(|t| {
        let w = weight(&kernel, None);
        let (x, b) = (image.clone(), Some(b.clone()));
        t.conv2d(Conv2d { x, w, b, stride: 2, padding: 1, groups: 1, act: Act::None, pool: false }).unwrap()
    });
    for groups in [2, 4] {
        let (x, kernel) = (random([2, 4, 5, 4], "image"), random([4, 4 / groups, 3, 3], "kernel"));
        linear(|t| {
            let (x, w, b) = (x.clone(), weight(&kernel, None), Some(b.clone()));
            t.conv2d(Conv2d { x, w, b, stride: 2, padding: 1, groups, act: Act::None, pool: false }).unwrap()
        });
    }
    let kernel = random([3, 4, 3, 3], "kernel");
    linear(|t| {
        let w = weight(&kernel, None);
        let op = ConvTranspose2d { x: image.clone(), w, b: Some(b.clone()), stride: 2, padding: 1, act: Act::None };
        t.conv_transpose2d(op).unwrap()
    });
    linear(|t| {
        let (gamma, beta, stats) = (random([3], "gamma"), random([3], "beta"), Cpu::channel_stats(&image).unwrap());
        t.batch_norm(BatchNorm { x: image.clone(), gamma, beta, stats, of_batch: true, eps: 1e-5 }).unwrap()
    });
    let mean = Pool { kind: Pooling::Mean, kernel: 2, stride: 2, padding: 0 };
    linear(|t| t.pool(&image, mean).unwrap());
}

#[test]
fn attention_and_normalisation_are_maps_of_their_values() {
    let x = random([5, 6], "x");
    linear(|t| t.layer_norm(&x, &random([6], "gamma"), &random([6], "beta"), 1e-5).unwrap());
    let shape = Heads { batch: 2, tokens: 3, heads: 2, head_dim: 2, scale: 0.6 };
    let qkv = random([6, 12], "qkv");
    let sizes = Tensor::from_vec(&Cpu::default(), vec![1.0, 2.0, 1.0, 3.0, 1.0, 1.0], [2, 3]).unwrap();
    linear(|t| t.attention(shape, &qkv, Some(&sizes)).unwrap());
    // Nothing of the output is owed to queries and keys.
    let (calls, _) = traced(|t| t.attention(shape, &qkv, None).unwrap());
    let (mut tape, input) = (Tape::recording(), qkv.detach().tracked(true));
    let y = calls[0].replay(&mut tape, std::slice::from_ref(&input), Part::All).unwrap().unwrap();
    let gradient = tape.backward(&y, pick(&y)).unwrap().get(&input).unwrap().to_vec();
    assert!(gradient.chunks(12).all(|row| row[..8].iter().all(|g| *g == 0.0) && row[8..].iter().all(|g| *g != 0.0)));
}

#[test]
fn tokens_are_embedded_averaged_and_merged_by_linear_maps() {
    let x = random([2, 4, 3], "x");
    linear(|t| t.embed(&x, Some(random([3], "class")), Some(random([5, 3], "position"))).unwrap());
    linear(|t| t.embed(&x, None, Some(random([4, 3], "position"))).unwrap());
    let sizes: Vec<f32> = (0..8).map(|i| (i % 3 + 1) as f32).collect();
    let sizes = Tensor::from_vec(&Cpu::default(), sizes, [2, 4]).unwrap();
    linear(|t| t.mean_tokens(&x, Some(&sizes)).unwrap());
    let merge = Cpu::match_tokens(&x, 1, 1).unwrap();
    linear(|t| t.merge_tokens(merge.clone(), &x, &sizes).unwrap().0);
}

#[test]
fn what_comes_from_one_value_sends_everything_back_to_it() {
    let (image, x) = (random([2, 3, 4, 4], "image"), random([2, 4, 3], "x"));
    let factor = random([2, 4, 3], "factor").tracked(false);
    type Pass<'a> = &'a dyn Fn(&mut Tape<Cpu>) -> T;
    let all: [Pass<'_>; 6] = [
        &|t| t.act(&x, Act::Gelu).unwrap(),
        &|t| t.act(&x, Act::Relu6).unwrap(),
        &|t| t.pool(&image, Pool::HALVING).unwrap(),
        &|t| t.take_token(&x, 2).unwrap(),
        &|t| t.dropout(&x, 0.5, 3).unwrap(),
        &|t| t.mul(&x, &factor).unwrap(),
    ];
    for f in all {
        let (calls, y) = traced(f);
        assert_eq!((calls.len(), calls[0].mapping, calls[0].output.id()), (1, Mapping::Single, y.id()));
        let (mut tape, input) = (Tape::recording(), calls[0].inputs[0].detach().tracked(true));
        let again = calls[0].replay(&mut tape, std::slice::from_ref(&input), Part::All).unwrap().unwrap();
        let upstream = pick(&y);
        let gradient = tape.backward(&again, upstream.reshape(again.shape()).unwrap()).unwrap();
        let sum = |t: &T| t.host().iter().sum::<f32>();
        close(&[sum(gradient.get(&input).unwrap())], &[sum(&upstream)], 1e-5);
    }
}

#[test]
fn fused_layers_are_noted_one_by_one() {
    let (x, w, r) = (random([5, 3], "x"), random([4, 3], "w"), random([5, 4], "r"));
    let (calls, y) = traced(|t| t.linear(&x, weight(&w, None), None, Act::Relu, Some(&r)).unwrap());
    let ids = |call: &Call<Cpu>| call.inputs.iter().map(T::id).collect::<Vec<_>>();
    assert_eq!(calls.len(), 3);
    assert_eq!(ids(&calls[1]), [calls[0].output.id()]);
    assert_eq!(ids(&calls[2]), [calls[1].output.id(), r.id()]);
    assert_eq!(calls[2].output.id(), y.id());
    let fused = Tape::off().linear(&x, weight(&w, None), None, Act::Relu, Some(&r)).unwrap();
    assert_eq!(y.to_vec(), fused.to_vec());
    let (mu, logvar, noise) = (random([3, 2], "mu"), random([3, 2], "logvar"), random([3, 2], "noise").tracked(false));
    let (calls, z) = traced(|t| t.reparametrise(&mu, &logvar, &noise).unwrap());
    assert_eq!(calls.len(), 2);
    close(&part(&calls[1], Part::All, &calls[1].inputs).to_vec(), &z.to_vec(), 1e-6);
    let wrong = calls[1].replay(&mut Tape::off(), &[], Part::All).unwrap_err().to_string();
    assert!(wrong.contains("inputs [] for a call of inputs [[3, 2], [3, 2]]"), "{wrong}");
}
