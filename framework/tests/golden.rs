//! Recorded operations against PyTorch: `golden/torch.json`, made by `golden/make.py`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{T, close, weight};
use secateur::autograd::Tape;
use secateur::backend::{
    Act, BatchNorm, ChannelStats, Conv2d, ConvTranspose2d, Cpu, Heads, NormOps as _, Pool, Pooling,
};
use secateur::tensor::Tensor;
use serde_json::Value;

struct Case<'a>(&'a str, &'a Value);

impl Case<'_> {
    fn tensor(&self, name: &str) -> T {
        let t = &self.1[name];
        let list = |key: &str| t[key].as_array().unwrap_or_else(|| panic!("{}: {name}", self.0)).iter();
        let shape: Vec<usize> = list("shape").map(|n| n.as_u64().unwrap() as usize).collect();
        let data = list("data").map(|v| v.as_f64().unwrap() as f32).collect();
        Tensor::from_vec(&Cpu::default(), data, &shape[..]).unwrap()
    }

    fn option(&self, name: &str) -> usize {
        self.1["options"][name].as_u64().unwrap() as usize
    }

    /// Runs `f` on the named inputs; its output and the gradient of each input must be PyTorch's.
    fn agrees(&self, inputs: &[&str], f: impl Fn(&mut Tape<Cpu>, &[T]) -> T) {
        let leaves: Vec<T> = inputs.iter().map(|n| self.tensor(n).tracked(true)).collect();
        let mut tape = Tape::recording();
        let y = f(&mut tape, &leaves);
        close(&y.to_vec(), &self.tensor("y").to_vec(), 2e-6);
        let seed = self.tensor("dy").reshape(y.shape()).unwrap();
        let grads = tape.backward(&y, seed).unwrap();
        for (name, leaf) in inputs.iter().zip(&leaves) {
            let expected = self.tensor(&format!("d{name}"));
            assert_eq!(leaf.shape(), expected.shape());
            close(&grads.get(leaf).unwrap().to_vec(), &expected.to_vec(), 1e-5);
        }
    }

    fn convolution(&self, stride: usize, padding: usize, groups: usize, act: Act, pool: bool) {
        self.agrees(&["x", "w", "b"], |t, i| {
            let (x, w, b) = (i[0].clone(), weight(&i[1], None), Some(i[2].clone()));
            t.conv2d(Conv2d { x, w, b, stride, padding, groups, act, pool }).unwrap()
        });
    }

    fn batch_norm(&self, of_batch: bool) {
        let running = ChannelStats { mean: self.tensor("mean"), variance: self.tensor("var") };
        self.agrees(&["x", "w", "b"], |t, i| {
            let stats = if of_batch { Cpu::channel_stats(&i[0]).unwrap() } else { running.clone() };
            let (x, gamma, beta) = (i[0].clone(), i[1].clone(), i[2].clone());
            t.batch_norm(BatchNorm { x, gamma, beta, stats, of_batch, eps: 1e-5 }).unwrap()
        });
        if of_batch {
            let x = self.tensor("x");
            let next = Cpu::running_stats(&running, &Cpu::channel_stats(&x).unwrap(), x.count() / 3, 0.1).unwrap();
            close(&next.mean.to_vec(), &self.tensor("next_mean").to_vec(), 1e-6);
            close(&next.variance.to_vec(), &self.tensor("next_var").to_vec(), 1e-6);
        }
    }

    fn pooling(&self, kind: Pooling) {
        let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|o| self.option(o));
        self.agrees(&["x"], |t, i| t.pool(&i[0], Pool { kind, kernel, stride, padding }).unwrap());
    }

    fn attention(&self, sizes: Option<&T>) {
        let shape = Heads { batch: 2, tokens: 5, heads: 2, head_dim: 3, scale: 1.0 / 3f32.sqrt() };
        self.agrees(&["qkv"], |t, i| t.attention(shape, &i[0], sizes).unwrap());
    }
}

#[test]
fn outputs_and_gradients_agree_with_pytorch() {
    let file: Value = serde_json::from_str(include_str!("golden/torch.json")).unwrap();
    let cases = file["cases"].as_object().unwrap();
    for (name, values) in cases {
        let case = Case(name, values);
        match name.as_str() {
            "conv2d-relu-pool" => case.convolution(1, 1, 1, Act::Relu, true),
            "conv2d-depthwise-relu6" => case.convolution(2, 1, 4, Act::Relu6, false),
            n if n.starts_with("conv2d-") => {
                let [stride, padding, groups] = ["stride", "padding", "groups"].map(|o| case.option(o));
                case.convolution(stride, padding, groups, Act::None, false)
            }
            n if n.starts_with("conv-transpose2d-") => case.agrees(&["x", "w", "b"], |t, i| {
                let (x, w, b) = (i[0].clone(), weight(&i[1], None), Some(i[2].clone()));
                let (stride, padding) = (case.option("stride"), case.option("padding"));
                t.conv_transpose2d(ConvTranspose2d { x, w, b, stride, padding, act: Act::None }).unwrap()
            }),
            n if n.starts_with("max-pool-") => case.pooling(Pooling::Max),
            n if n.starts_with("mean-pool-") => case.pooling(Pooling::Mean),
            n if n.starts_with("batch-norm-") => case.batch_norm(!n.ends_with("evaluation")),
            "layer-norm" => case.agrees(&["x", "w", "b"], |t, i| t.layer_norm(&i[0], &i[1], &i[2], 1e-5).unwrap()),
            "gelu-exact" => case.agrees(&["x"], |t, i| t.act(&i[0], Act::GeluExact).unwrap()),
            "relu6" => case.agrees(&["x"], |t, i| t.act(&i[0], Act::Relu6).unwrap()),
            "gelu-tanh" => case.agrees(&["x"], |t, i| t.act(&i[0], Act::Gelu).unwrap()),
            "attention" => case.attention(None),
            "attention-sizes" => case.attention(Some(&case.tensor("sizes"))),
            "bce-logits" | "bce-sigmoid" => {
                case.agrees(&["x"], |t, i| t.bce_logits(&i[0], &case.tensor("t"), 1.0).unwrap())
            }
            "gaussian-kld" => case.agrees(&["mu", "logvar"], |t, i| t.gaussian_kld(&i[0], &i[1], 1.0).unwrap()),
            "reparametrise" => {
                case.agrees(&["mu", "logvar"], |t, i| t.reparametrise(&i[0], &i[1], &case.tensor("noise")).unwrap())
            }
            other => panic!("golden/torch.json has a case that no test knows: {other}"),
        }
    }
    assert_eq!(cases.len(), 33);
}
