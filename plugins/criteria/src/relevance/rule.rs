//! How the relevance of one operation's output is shared out among its inputs.

use secateur::prelude::*;

/// In what proportion inputs get relevance: by what each contributes to the output, `z_ij = x_i w_ij`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sharing {
    /// `z_ij / (z_j + epsilon sign(z_j))` of the relevance of `z_j = Σ_i z_ij` (Bach et al. 2015, equation 58).
    Epsilon,
    /// `(1 + beta) z_ij+ / z_j+ - beta z_ij- / z_j-` with the positive and the negative contributions apart (the same,
    /// equation 60); with beta = 0 the z+ rule. Where an output has contributions of one sign only they get all of its
    /// relevance, so that none is lost, turned or doubled.
    AlphaBeta {
        /// The weight of negative contributions; that of the positive ones is one more.
        beta: f32,
    },
}

/// A rule of layer-wise relevance propagation, the same for every linear map of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// In what proportion inputs get relevance.
    pub sharing: Sharing,
    /// Added to the size of what is divided by.
    pub epsilon: f32,
    /// Whether what does not depend on the inputs (biases, positions) leaves its share to them, instead of taking it
    /// out of the network.
    pub redistribute: bool,
}

/// What became of an output's relevance.
#[derive(Debug)]
pub struct Shares<B: Backend> {
    /// The relevance of each input.
    pub inputs: Vec<Tensor<B>>,
    /// What went to biases and the like and to epsilon, by element of the output; nothing where `None`.
    pub absorbed: Option<Tensor<B>>,
}

/// A part of a call's map at some inputs, ready to be gone through backwards.
struct Run<B: Backend> {
    tape: Tape<B>,
    inputs: Vec<Tensor<B>>,
    y: Option<Tensor<B>>,
}

impl<B: Backend> Run<B> {
    fn new(call: &Call<B>, part: Part, inputs: &[Tensor<B>]) -> Result<Self> {
        let inputs: Vec<_> = inputs.iter().map(|x| x.detach().tracked(true)).collect();
        let mut tape = Tape::recording();
        let y = call.replay(&mut tape, &inputs, part)?;
        Ok(Self { tape, inputs, y })
    }

    /// Each input times the gradient that `upstream` gives it, added to `shares`.
    fn share(self, upstream: &Tensor<B>, shares: &mut [Tensor<B>]) -> Result<()> {
        let Some(y) = self.y else { return Ok(()) };
        let grads = self.tape.backward(&y, upstream.reshape(y.shape())?)?;
        for (x, share) in self.inputs.iter().zip(shares) {
            if let Some(gradient) = grads.get(x) {
                *share = share.add(&x.mul(gradient)?.detach())?;
            }
        }
        Ok(())
    }
}

impl Rule {
    /// Shares out the relevance of a call's output.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn share<B: Backend>(&self, call: &Call<B>, relevance: &Tensor<B>) -> Result<Shares<B>> {
        match (call.mapping, self.sharing) {
            (Mapping::Single, _) => single(call, relevance),
            (Mapping::Linear, Sharing::Epsilon) => self.by_contribution(call, relevance),
            (Mapping::Linear, Sharing::AlphaBeta { beta }) => self.by_sign(call, relevance, beta),
        }
    }

    /// What does not depend on the inputs, where it has a share of its own.
    fn constant<B: Backend>(&self, call: &Call<B>) -> Result<Option<Tensor<B>>> {
        if self.redistribute { Ok(None) } else { call.replay(&mut Tape::off(), &call.inputs, Part::Constant) }
    }

    fn by_contribution<B: Backend>(&self, call: &Call<B>, relevance: &Tensor<B>) -> Result<Shares<B>> {
        let run = Run::new(call, Part::All, &call.inputs)?;
        let constant = self.constant(call)?;
        let z = sum([run.y.as_ref(), constant.as_ref()], relevance)?;
        // What keeps the divisor away from zero: epsilon with the sign of z, and with a plus where z is zero.
        let sign = z.signum()?;
        let guard = sign.add(&ones(&z)?.sub(&sign.abs()?)?)?.scale(self.epsilon)?;
        let quotient = relevance.div(&z.add(&guard)?)?;
        let absorbed = quotient.mul(&sum([Some(&guard), constant.as_ref()], relevance)?)?;
        let mut inputs = zeros(&call.inputs)?;
        run.share(&quotient, &mut inputs)?;
        Ok(Shares { inputs, absorbed: Some(absorbed) })
    }

    fn by_sign<B: Backend>(&self, call: &Call<B>, relevance: &Tensor<B>, beta: f32) -> Result<Shares<B>> {
        let constant = self.constant(call)?;
        let of_sign = |sign: f32| -> Result<Side<B>> {
            let constant = constant.as_ref().map(|c| above_zero(c, sign)).transpose()?;
            let positive = call.inputs.iter().map(|x| above_zero(x, sign)).collect::<Result<Vec<_>>>()?;
            let negative = call.inputs.iter().map(|x| above_zero(x, -sign)).collect::<Result<Vec<_>>>()?;
            // Half of the work is in vain behind an activation that is never negative.
            let parts = [(Part::Positive, positive), (Part::Negative, negative)].into_iter();
            let parts = parts.map(|(part, x)| Ok((any(&x)?, part, x))).collect::<Result<Vec<_>>>()?;
            let runs = parts.iter().filter(|(any, ..)| *any).map(|(_, part, x)| Run::new(call, *part, x));
            Side::new(runs.collect::<Result<_>>()?, constant, relevance)
        };
        let positive = of_sign(1.0)?;
        let without = ones(relevance)?.sub(&positive.there)?;
        // The negative contributions count where they have a weight, and where there are no others.
        let negative = match beta == 0.0 && !any(&[without.mul(relevance)?])? {
            true => Side::new(vec![], None, relevance)?,
            false => of_sign(-1.0)?,
        };
        let of_positive = positive.there.mul(&ones(relevance)?.add(&negative.there.scale(beta)?)?)?;
        let of_negative = negative.there.mul(&ones(relevance)?.sub(&positive.there.scale(1.0 + beta)?)?)?;
        // Where there are none at all, nothing of it can go on.
        let left = without.mul(&ones(relevance)?.sub(&negative.there)?)?.mul(relevance)?;
        let mut shares = Shares { inputs: zeros(&call.inputs)?, absorbed: Some(left) };
        for (side, weight) in [(positive, of_positive), (negative, of_negative)] {
            side.share(&weight.mul(relevance)?, self.epsilon, &mut shares)?;
        }
        Ok(shares)
    }
}

/// The contributions of one sign, by their size.
struct Side<B: Backend> {
    runs: Vec<Run<B>>,
    constant: Option<Tensor<B>>,
    /// Their sum for each element of the output.
    total: Tensor<B>,
    /// 1 where there are any.
    there: Tensor<B>,
}

impl<B: Backend> Side<B> {
    fn new(runs: Vec<Run<B>>, constant: Option<Tensor<B>>, like: &Tensor<B>) -> Result<Self> {
        let parts = runs.iter().map(|run| run.y.as_ref()).chain([constant.as_ref()]);
        let total = sum(parts, like)?;
        let there = total.signum()?;
        Ok(Self { runs, constant, total, there })
    }

    fn share(self, relevance: &Tensor<B>, epsilon: f32, shares: &mut Shares<B>) -> Result<()> {
        let guard = ones(&self.total)?.scale(epsilon)?;
        let quotient = relevance.div(&self.total.add(&guard)?)?;
        let absorbed = quotient.mul(&sum([Some(&guard), self.constant.as_ref()], relevance)?)?;
        shares.absorbed = Some(sum([Some(&absorbed), shares.absorbed.as_ref()], relevance)?);
        self.runs.into_iter().try_for_each(|run| run.share(&quotient, &mut shares.inputs))
    }
}

/// Every value's relevance goes where the value came from.
fn single<B: Backend>(call: &Call<B>, relevance: &Tensor<B>) -> Result<Shares<B>> {
    let run = Run::new(call, Part::All, &call.inputs)?;
    let Some(y) = run.y else { return Err(Error::Other(format!("{call:?} cannot be computed again"))) };
    let grads = run.tape.backward(&y, relevance.reshape(y.shape())?)?;
    let share = |x: &Tensor<B>| grads.get(x).map_or_else(|| Tensor::zeros(x.device(), x.shape()), |r| Ok(r.detach()));
    Ok(Shares { inputs: run.inputs.iter().map(share).collect::<Result<_>>()?, absorbed: None })
}

/// The values of this sign by their size, zero elsewhere.
fn above_zero<B: Backend>(x: &Tensor<B>, sign: f32) -> Result<Tensor<B>> {
    B::activation(Act::Relu, &x.detach().scale(sign)?)
}

fn any<B: Backend>(all: &[Tensor<B>]) -> Result<bool> {
    all.iter().map(B::norm_squared).try_fold(false, |any, n| Ok(any || n? > 0.0))
}

fn ones<B: Backend>(like: &Tensor<B>) -> Result<Tensor<B>> {
    Tensor::from_vec(like.device(), vec![1.0; like.count()], like.shape())
}

fn zeros<B: Backend>(like: &[Tensor<B>]) -> Result<Vec<Tensor<B>>> {
    like.iter().map(|x| Tensor::zeros(x.device(), x.shape())).collect()
}

/// The sum of those that are there, in the shape of `like`.
fn sum<'a, B: Backend>(parts: impl IntoIterator<Item = Option<&'a Tensor<B>>>, like: &Tensor<B>) -> Result<Tensor<B>> {
    let mut total: Option<Tensor<B>> = None;
    for part in parts.into_iter().flatten() {
        let part = part.detach().reshape(like.shape())?;
        total = Some(total.map_or(Ok(part.clone()), |total| total.add(&part))?);
    }
    total.map_or_else(|| Tensor::zeros(like.device(), like.shape()), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::backend::Weight;

    /// The shares of two inputs 1 and 2 in the relevance 6 and 10 of what two units make of them: contributions 1 and -2
    /// to the one, -1 and -4 to the other. And what is absorbed of each.
    fn shares(sharing: Sharing, redistribute: bool, bias: Option<[f32; 2]>) -> [Vec<f32>; 2] {
        let device = Cpu::default();
        let row = |values: [f32; 2]| Tensor::from_vec(&device, values.to_vec(), [1, 2]).unwrap();
        let w = Weight::plain(Tensor::from_vec(&device, vec![1.0, -1.0, -1.0, -2.0], [2, 2]).unwrap());
        let bias = bias.map(|bias| row(bias).reshape([2]).unwrap());
        let mut tape = Tape::recording().tracing();
        tape.linear(&row([1.0, 2.0]), w, bias, Act::None, None).unwrap();
        let calls = tape.take_trace();
        let rule = Rule { sharing, epsilon: 1e-9, redistribute };
        let found = rule.share(&calls[0], &row([6.0, 10.0])).unwrap();
        [found.inputs[0].to_vec(), found.absorbed.unwrap().to_vec()]
    }

    fn close(found: [Vec<f32>; 2], inputs: [f32; 2], absorbed: [f32; 2]) {
        let pairs = found.iter().flatten().zip(inputs.iter().chain(&absorbed));
        assert!(pairs.clone().count() == 4 && pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    }

    #[test]
    fn inputs_share_by_their_contributions() {
        close(shares(Sharing::Epsilon, true, None), [-6.0 + 2.0, 12.0 + 8.0], [0.0; 2]);
        // The second unit has no positive contributions: the negative ones share what it is owed.
        close(shares(Sharing::AlphaBeta { beta: 0.0 }, true, None), [6.0 + 2.0, 8.0], [0.0; 2]);
        close(shares(Sharing::AlphaBeta { beta: 1.0 }, true, None), [12.0 + 2.0, -6.0 + 8.0], [0.0; 2]);
    }

    #[test]
    fn a_bias_takes_its_share_or_leaves_it() {
        let (bias, z_plus) = (Some([1.0, -5.0]), Sharing::AlphaBeta { beta: 0.0 });
        close(shares(z_plus, false, bias), [3.0 + 1.0, 4.0], [3.0, 5.0]);
        close(shares(z_plus, true, bias), [6.0 + 2.0, 8.0], [0.0; 2]);
        close(shares(Sharing::Epsilon, false, Some([3.0, -5.0])), [3.0 + 1.0, -6.0 + 4.0], [9.0, 5.0]);
    }
}
