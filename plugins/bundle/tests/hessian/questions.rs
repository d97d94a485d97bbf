//! What a probe may be asked, and what it refuses.

use super::*;
use secateur::pruning::PruneConfig;

const CNN: Named = ("cnn", "channels = [4, 6]\nhidden = [10]\nbatch_norm = true\nconv_bias = false\nbias = true");
const MLP: Named = ("mlp", "hidden = [10, 8]");

fn bits(all: &Gradients) -> Vec<(String, Vec<u32>)> {
    all.iter().map(|(name, t)| (name.clone(), t.host().iter().map(|v| v.to_bits()).collect())).collect()
}

fn values(params: &ParamStore<Cpu>) -> Vec<(String, Vec<f32>)> {
    params.iter().map(|p| (p.spec().name.clone(), p.value().to_vec())).collect()
}

/// `||a - b|| / ||b||` over all parameters.
fn apart(a: &Gradients, b: &Gradients) -> f64 {
    assert!(a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
    let (mut difference, mut size) = (0.0, 0.0);
    for (a, b) in a.values().zip(b.values()) {
        for (a, b) in a.host().iter().zip(b.host().iter()) {
            difference += f64::from(a - b).powi(2);
            size += f64::from(*b).powi(2);
        }
    }
    (difference / size).sqrt()
}

#[test]
fn a_probe_moves_nothing_and_answers_the_same_twice() {
    ask(&trial(CNN, 12), |probe| {
        let before = values(probe.params());
        let batch = || Question::new(ProbeInput::Batch(0), Objective::LOSS);
        let training = probe.gradients(&batch())?;
        let evaluation = probe.gradients(&batch().in_mode(ProbeMode::Evaluation))?;
        assert!(apart(&training, &evaluation) > 0.1, "the modes differ");
        assert!(
            evaluation.values().all(|t| t.host().iter().any(|v| *v != 0.0)),
            "gradients pass the running statistics"
        );
        let ones = || Question::new(ProbeInput::Ones, Objective::OutputSum);
        let flow = probe.gradients(&ones())?;
        assert_eq!(bits(&training), bits(&probe.gradients(&batch())?));
        assert_eq!(bits(&evaluation), bits(&probe.gradients(&batch().in_mode(ProbeMode::Evaluation))?));
        assert_eq!(bits(&flow), bits(&probe.gradients(&ones())?));
        probe.hessian_vector(&batch(), &training)?;
        assert_eq!(before, values(probe.params()), "running statistics included");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_cannot_be_answered_says_why() {
    ask(&trial(CNN, 12), |probe| {
        let refused = |found: Result<Gradients>, words: &str| {
            let text = found.err().unwrap_or_else(|| panic!("{words}: it was answered")).to_string();
            assert!(text.contains(words), "{text}");
        };
        let ones = Question::new(ProbeInput::Ones, Objective::OutputSum);
        refused(probe.gradients(&ones.clone().in_mode(ProbeMode::Training)), "ask in evaluation mode");
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let cold = Question::new(ProbeInput::Batch(0), Objective::Loss { temperature });
            refused(probe.gradients(&cold), "it must be above 0");
        }
        let balanced = |per_class, nth| Question::new(ProbeInput::Balanced { per_class, nth }, Objective::LOSS);
        refused(probe.gradients(&balanced(4, 0)), "class `a` has 3 examples in the train split");
        refused(probe.gradients(&balanced(2, 1)), "too few for choice 1 (from 0) of 2");
        refused(probe.gradients(&balanced(0, 0)), "at least one example of each class");
        let device = probe.params().device().clone();
        let one = |name: &str, count: usize| -> Gradients {
            [(name.to_string(), Tensor::from_vec(&device, vec![1.0; count], [count]).unwrap())].into()
        };
        refused(probe.hessian_vector(&ones, &one("fc9.bias", 3)), "fc9.bias");
        refused(probe.hessian_vector(&ones, &one("fc1.bias", 3)), "the vector's part of `fc1.bias` is [3]");
        refused(probe.hessian_vector(&ones, &one("norm1.running_mean", 4)), "no parameter but a buffer");
        let wrong: Vec<_> = one("fc1.bias", 3).into_iter().collect();
        refused(probe.gradients(&ones.clone().replacing(&wrong)), "the replacement of `fc1.bias` is [3]");
        Ok(())
    })
    .unwrap();
    let vae = trial(("vae", "channels = [2]\nhidden = [6]\nlatent = 3"), 12);
    let own_loss = ask_about(&vae, &data(12, f32::abs), |probe| {
        let question = Question::new(ProbeInput::Batch(0), COLD);
        Ok(probe.gradients(&question).unwrap_err().to_string())
    });
    assert!(own_loss.unwrap().contains("ask for a temperature of 1"));
}

#[test]
fn the_temperature_divides_the_logits_and_balanced_batches_are_batches() {
    ask(&trial(MLP, 12), |probe| {
        let at = filled(probe.params());
        let question = |input, objective| Question::new(input, objective).replacing(&at);
        let cold = probe.gradients(&question(ProbeInput::Batch(0), COLD))?;
        // A last layer of a 200th has logits of a 200th; its own gradient is 200 times as large.
        let colder = |(name, t): &(String, T)| {
            let scaled = if name.starts_with("fc3") { t.scale(1.0 / 200.0)? } else { t.clone() };
            Ok((name.clone(), scaled))
        };
        let scaled = at.iter().map(colder).collect::<Result<Vec<_>>>()?;
        let found = probe.gradients(&Question::new(ProbeInput::Batch(0), Objective::LOSS).replacing(&scaled))?;
        let of_logits = |(name, t): (String, T)| {
            let t = if name.starts_with("fc3") { t.scale(1.0 / 200.0)? } else { t };
            Ok((name, t))
        };
        assert!(apart(&cold, &found.into_iter().map(of_logits).collect::<Result<_>>()?) < 1e-5);
        // All three examples of each of four classes are the whole training split.
        let whole = probe.gradients(&question(ProbeInput::Batch(0), Objective::LOSS))?;
        let balanced = ProbeInput::Balanced { per_class: 3, nth: 0 };
        assert!(apart(&probe.gradients(&question(balanced, Objective::LOSS))?, &whole) < 1e-5);
        let one = |nth| ProbeInput::Balanced { per_class: 1, nth };
        let thirds = (0..3).map(|nth| probe.gradients(&question(one(nth), Objective::LOSS)));
        let thirds = thirds.collect::<Result<Vec<_>>>()?;
        let mean = thirds[0]
            .iter()
            .map(|(name, t)| Ok((name.clone(), t.add(&thirds[1][name])?.add(&thirds[2][name])?.scale(1.0 / 3.0)?)));
        assert!(apart(&mean.collect::<Result<_>>()?, &whole) < 1e-5, "three choices that share no example");
        Ok(())
    })
    .unwrap();
}

/// The second round sees a network with masks.
#[test]
fn masked_weights_take_no_part_in_a_product() {
    let trial = Trial { prune: PruneConfig { rounds: 2, ..PruneConfig::default() }, ..trial(MLP, 12) };
    let rounds = Arc::new(Mutex::new(0));
    ask(&trial, move |probe| {
        let mut round = rounds.lock().unwrap();
        *round += 1;
        let masked = probe.params().iter().any(|p| p.kept() < p.value().count());
        assert_eq!(masked, *round == 2);
        let question = Question::new(ProbeInput::Batch(0), Objective::LOSS);
        let gradient = probe.gradients(&question)?;
        let found = probe.hessian_vector(&question, &gradient)?;
        let effective = probe.params().iter().map(|p| Ok((p.spec().name.clone(), p.effective()?)));
        let effective = effective.collect::<Result<Vec<_>>>()?;
        let kept = gradient.iter().map(|(name, g)| {
            let mask = probe.params().get(name)?.mask().map(|m| m.tensor().clone());
            Ok((name.clone(), mask.map_or(Ok(g.clone()), |mask| g.mul(&mask))?))
        });
        let kept = kept.collect::<Result<Gradients>>()?;
        let expected = probe.hessian_vector(&question.clone().replacing(&effective), &kept)?;
        assert!(apart(&found, &expected) < 1e-5, "{}", apart(&found, &expected));
        Ok(())
    })
    .unwrap();
}

#[test]
fn nothing_changes_along_a_vector_of_zeros_nor_along_a_bias_that_is_only_added() {
    ask(&trial(MLP, 12), |probe| {
        let question = Question::new(ProbeInput::Batch(0), Objective::OutputSum);
        let gradient = probe.gradients(&question)?;
        let last = gradient.clone().into_iter().filter(|(name, _)| name == "fc3.bias").collect();
        for vector in [BTreeMap::new(), last] {
            let found = probe.hessian_vector(&question, &vector)?;
            assert!(found.keys().eq(gradient.keys()));
            let largest = found.values().flat_map(|t| t.to_vec()).fold(0.0f32, |m, v| m.max(v.abs()));
            assert!(largest < 1e-4, "{largest}");
        }
        Ok(())
    })
    .unwrap();
}

/// Tokens go on together that go together: against a difference over a step that changes no pair.
#[test]
fn a_product_through_token_merging_keeps_the_pairs() {
    let merging = Some(("token-merging", "at = \"blocks\"\nr = 1"));
    let vit = ("vit", "depth = 2\ndim = 8\nheads = 2\nmlp_ratio = 2.0\npatch = 2");
    ask(&Trial { compressor: merging, ..trial(vit, 12) }, |probe| {
        let at = filled(probe.params());
        let question = Question::new(ProbeInput::Batch(0), Objective::LOSS).replacing(&at);
        let gradient = probe.gradients(&question)?;
        let found = probe.hessian_vector(&question, &gradient)?;
        let plain = plain_difference(probe, Objective::LOSS, &at, &gradient, 3e-3)?;
        assert!(apart(&plain, &found) < 1e-2, "{:e}", apart(&plain, &found));
        Ok(())
    })
    .unwrap();
}

#[test]
fn squared_gradients_of_examples_are_those_of_each_alone() {
    // More examples than a batch holds; those of the second network can only be asked for one by one.
    for (model, examples) in [(MLP, 13), (CNN, 5)] {
        ask(&trial(model, 6), move |probe| {
            let mut expected = Gradients::new();
            for n in 0..examples {
                let alone = probe.gradients(&Question::new(ProbeInput::Example(n), Objective::LOSS))?;
                for (name, g) in alone {
                    let sum = expected.get(&name).map_or_else(|| g.square(), |sum| sum.add(&g.square()?))?;
                    expected.insert(name, sum);
                }
            }
            let found = probe.squared_gradients(examples)?;
            let largest = apart(&found, &expected);
            assert!(largest < 1e-6, "{} {largest:e}", model.0);
            Ok(())
        })
        .unwrap();
    }
}
