//! Layer-wise relevance propagation, as a criterion over the trace of a pass.

use super::*;

/// Layer-wise relevance propagation (Yeom et al. 2021), z+ rule: a vjp of the layer with positive weights.
#[derive(Default)]
struct Relevance {
    units: BTreeMap<String, Vec<f32>>,
}

impl Criterion<Cpu> for Relevance {
    fn needs(&self) -> Needs {
        Needs::TRACE
    }
    fn window(&self) -> Window {
        Window::LastStep
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        let calls = seen.trace()?;
        let device = calls[0].input.device();
        let map = |t: &Tensor<Cpu>, f: &dyn Fn(f32) -> f32| {
            Tensor::from_vec(device, t.host().iter().map(|v| f(*v)).collect(), t.shape())
        };
        let mut r = map(&calls.last().unwrap().output, &|v| v.max(0.0))?;
        let total: f32 = r.host().iter().sum();
        // The first layer's input may be negative; the z+ rule holds for the layers above.
        for call in calls[1..].iter().rev() {
            self.units.insert(call.layer.clone(), r.reduce(Reduce::L1, 0)?.to_vec());
            let weight = Weight::plain(map(&call.weight.as_ref().unwrap().value, &|w| w.max(0.0))?);
            let a = call.input.detach().tracked(true);
            let mut tape = Tape::recording();
            let z = call.replay(&mut tape, &a, weight)?;
            let s = Tensor::from_vec(
                device,
                r.host().iter().zip(z.host().iter()).map(|(r, z)| r / (z + 1e-9)).collect(),
                z.shape(),
            )?;
            let c = tape.backward(&z, s)?;
            r = a.mul(c.get(&a).unwrap())?;
        }
        let kept: f32 = r.host().iter().sum();
        assert!(
            (kept - total).abs() < 0.35 * total.abs().max(1e-3),
            "relevance is conserved but for biases: {kept} of {total}"
        );
        self.units.insert(calls[0].layer.clone(), r.reduce(Reduce::L1, 0)?.to_vec());
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        Ok(Scores::Units(self.units[&target.group().unwrap().name].clone()))
    }
}

#[test]
fn relevance_flows_backwards_through_the_trace() {
    let units = PruneConfig {
        granularity: Granularity::Unit,
        scope: Scope::Layer,
        apply: Apply::Shrink,
        ..PruneConfig::default()
    };
    let (outcome, _) = run(Relevance::default(), At(vec![(20, 0.5)]), units);
    assert_eq!(outcome.summary.units.0, [("fc1".to_string(), 10), ("fc2".to_string(), 5)].into());
}
