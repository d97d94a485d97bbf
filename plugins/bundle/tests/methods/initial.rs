//! Pruning at initialisation: scores from gradients that training does not compute.

use super::*;
use secateur::data::{Examples, Normalize, Pool};
use secateur::network::params::Param;

/// GraSP (Wang et al. 2020): removes the highest of -theta (H g), with logits at a temperature of 200 and ten examples
/// of each class.
#[derive(Default)]
struct Grasp {
    scores: BTreeMap<String, Tensor<Cpu>>,
}

impl Criterion<Cpu> for Grasp {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }
    fn prepare(&mut self, probe: &mut dyn Probe<Cpu>) -> Result<()> {
        let examples = ProbeInput::Balanced { per_class: 10, nth: 0 };
        let question = Question::new(examples, Objective::Loss { temperature: 200.0 });
        let g = probe.gradients(&question)?;
        for (name, hg) in probe.hessian_vector(&question, &g)? {
            let score = probe.params().get(&name)?.value().mul(&hg)?;
            self.scores.insert(name, score);
        }
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        Ok(self.scores[target.name()].clone().into())
    }
}

#[test]
fn grasp_asks_for_hessian_vector_products_before_training() {
    let (_, events) = run(Grasp::default(), At(vec![(0, 0.8)]), PruneConfig::default());
    assert_eq!(prunes(&events).len(), 1);
    assert!((prunes(&events)[0].1 - 0.8).abs() < 1e-4);
}

/// SynFlow (Tanaka et al. 2020): |theta dR/d|theta||, R the sum of the outputs for an input of ones under |theta|; in
/// rounds.
#[derive(Default)]
struct SynFlow {
    scores: BTreeMap<String, Tensor<Cpu>>,
    rounds: usize,
}

/// |theta|; running statistics as before any data, so that scores do not depend on it.
fn absolute(p: &Param<Cpu>) -> Result<(String, Tensor<Cpu>)> {
    let (name, value) = (p.spec().name.clone(), p.effective()?.abs()?);
    let fixed = |v: f32| Tensor::from_vec(value.device(), vec![v; value.count()], value.shape());
    let value = match name.rsplit('.').next() {
        Some("running_mean") => fixed(0.0)?,
        Some("running_var") => fixed(1.0)?,
        _ => value,
    };
    Ok((name, value))
}

impl Criterion<Cpu> for SynFlow {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }
    fn prepare(&mut self, probe: &mut dyn Probe<Cpu>) -> Result<()> {
        let absolute = probe.params().iter().map(absolute).collect::<Result<Vec<_>>>()?;
        let g = probe.gradients(&Question::new(ProbeInput::Ones, Objective::OutputSum).replacing(&absolute))?;
        self.scores = absolute.into_iter().filter_map(|(n, w)| Some((n.clone(), w.mul(g.get(&n)?).unwrap()))).collect();
        self.rounds += 1;
        assert!(self.scores.values().all(|s| s.host().iter().all(|v| *v >= 0.0)), "flow is never negative");
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        Ok(self.scores[target.name()].clone().into())
    }
}

#[test]
fn synflow_scores_anew_in_every_round_and_reaches_its_target() {
    let (_, events) = run(SynFlow::default(), At(vec![(0, 0.9)]), PruneConfig { rounds: 20, ..PruneConfig::default() });
    assert!((prunes(&events)[0].1 - 0.9).abs() < 1e-4);
}

/// Weights that are left in each convolution of a small VGG at 97 %, in 100 rounds.
fn left(batch_norm: bool) -> Vec<usize> {
    let pool = || Pool::bytes((0..8 * 3 * 32 * 32).map(|i| (i * 7 % 251) as u8).collect(), (0..8).collect());
    let classes = ["0", "1", "2", "3", "4", "5", "6", "7"];
    let set = Examples::in_memory("noise", &[3, 32, 32], &classes, pool(), pool()).unwrap();
    let data = set.dataset(&DataConfig { normalize: Normalize::Unit, ..DataConfig::default() }, 0).unwrap();
    let model = if batch_norm { "width = 0.125" } else { "width = 0.125\nbatch_norm = false" };
    let train = TrainConfig { epochs: 1, batch_size: 8, lr: 0.01, ..TrainConfig::default() };
    let prune = PruneConfig { rounds: 100, ..PruneConfig::default() };
    let trial = Trial { model: ("vgg", model), train, prune, ..Trial::default() };
    let outcome = trial.with(&secateur_bundle::registry().unwrap(), Cpu::default(), &data, |mut run| {
        (run.criterion, run.schedule) = (Box::new(SynFlow::default()), Box::new(At(vec![(0, 0.97)])));
        run.execute(&mut Log::default())
    });
    let params = outcome.unwrap().params;
    (1..=13).map(|i| params.get(&format!("conv{i}.weight")).unwrap().kept()).collect()
}

#[test]
fn synflow_empties_no_layer_of_a_network_with_batch_norm() {
    let (with, without) = (left(true), left(false));
    // Before any data, batch normalisation is the identity but for its eps; the networks are not quite the same, because
    // one has seen an update.
    for (i, (with, without)) in with.iter().zip(&without).enumerate() {
        let within = if i < 2 { 20 } else { 5 };
        assert!(*with > 0 && with.abs_diff(*without) * within <= *without, "{with} with batch norm, {without} without");
    }
}
