//! A parameter's values, and beside them its nonzeros alone where products go over these.

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The values of a parameter in its shape. Its nonzeros are a tensor of their own from when they are first asked for
/// until other values are set: layers that go over them alone find the gradient of that tensor, and an update moves it
/// alone. The whole is then put together from them when somebody asks for it.
pub(super) struct Values<B: Backend> {
    /// Not there from an update of the nonzeros until it is asked for.
    whole: OnceLock<Tensor<B>>,
    nonzeros: Mutex<Option<Packed<B>>>,
}

/// Nonzeros in the parameter's own order, and where they are.
struct Packed<B: Backend> {
    pattern: Arc<B::Pattern>,
    values: Tensor<B>,
    /// Shape and identity of the whole.
    outline: Tensor<B>,
}

impl<B: Backend> Clone for Packed<B> {
    fn clone(&self) -> Self {
        let (pattern, values, outline) = (self.pattern.clone(), self.values.clone(), self.outline.clone());
        Self { pattern, values, outline }
    }
}

impl<B: Backend> Clone for Values<B> {
    fn clone(&self) -> Self {
        Self { whole: self.whole.clone(), nonzeros: Mutex::new(self.lock().clone()) }
    }
}

impl<B: Backend> fmt::Debug for Values<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outline().fmt(f)
    }
}

impl<B: Backend> From<Tensor<B>> for Values<B> {
    fn from(whole: Tensor<B>) -> Self {
        Self { whole: whole.into(), nonzeros: Mutex::new(None) }
    }
}

impl<B: Backend> Values<B> {
    fn lock(&self) -> MutexGuard<'_, Option<Packed<B>>> {
        self.nonzeros.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, in the parameter's shape.
    pub fn whole(&self) -> &Tensor<B> {
        self.whole.get_or_init(|| {
            let packed = self.lock().clone().expect("an update that takes the whole away leaves nonzeros");
            B::spread(&packed.values, &packed.pattern, packed.outline.shape()).in_place_of(&packed.outline)
        })
    }

    /// A tensor of their shape and identity, perhaps without their numbers.
    pub fn outline(&self) -> Tensor<B> {
        let outline = || self.lock().as_ref().map(|packed| packed.outline.clone());
        self.whole.get().cloned().or_else(outline).unwrap_or_else(|| self.whole().clone())
    }

    /// Takes other values.
    pub fn set(&mut self, whole: Tensor<B>) {
        *self = whole.into();
    }

    /// The values at the nonzeros of this pattern, `[nonzeros]`; until other values are set the same tensor each time.
    pub fn nonzeros(&self, pattern: &Arc<B::Pattern>) -> Result<Tensor<B>> {
        if let Some(packed) = self.lock().as_ref().filter(|packed| Arc::ptr_eq(&packed.pattern, pattern)) {
            return Ok(packed.values.clone());
        }
        let whole = self.whole();
        let (values, outline) = (B::gather(whole, pattern)?.tracked(whole.is_tracked()), whole.outline()?);
        *self.lock() = Some(Packed { pattern: Arc::clone(pattern), values: values.clone(), outline });
        Ok(values)
    }

    /// The nonzeros as they were asked for last, and where they are.
    pub fn packed(&self) -> Option<(Arc<B::Pattern>, Tensor<B>)> {
        self.lock().as_ref().map(|packed| (Arc::clone(&packed.pattern), packed.values.clone()))
    }

    /// What an update moves: the nonzeros of this pattern, or all values.
    pub fn moving(&mut self, pattern: Option<&Arc<B::Pattern>>) -> Result<&mut Tensor<B>> {
        match pattern {
            Some(pattern) => self.clear_others(pattern)?,
            None => {
                self.whole();
                *self.lock() = None;
            }
        }
        let packed = self.nonzeros.get_mut().unwrap_or_else(PoisonError::into_inner);
        let moving = packed.as_mut().map(|packed| &mut packed.values).or_else(|| self.whole.get_mut());
        moving.ok_or_else(|| Error::Other("a parameter without values".into()))
    }

    /// Makes zeros of all values that are no nonzeros of this pattern; zeros without a sign, as a checkpoint of the
    /// nonzeros alone gives them back.
    pub fn clear_others(&mut self, pattern: &Arc<B::Pattern>) -> Result<()> {
        self.nonzeros(pattern)?;
        self.whole.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Masking, Param, ParamStore, Sparse};
    use super::*;
    use crate::backend::{Cpu, Update};
    use crate::network::layout::{LayoutBuilder, Sizes, Width};
    use crate::seed::Seed;

    const KEPT: [usize; 7] = [0, 3, 6, 9, 12, 15, 18];

    /// A layer of 5 inputs and 4 outputs that keeps every third weight.
    fn store(sparse: Sparse) -> ParamStore<Cpu> {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        layout.linear("fc", &Width::from(5), &Width::from(4), false);
        let store = ParamStore::new(&Cpu::default(), layout.build().unwrap(), Seed(1), Masking::Held).unwrap();
        let mut store = store.with_sparse(sparse);
        store.set_masks(vec![("fc.weight".into(), (0..20).map(|i| KEPT.contains(&i)).collect())]).unwrap();
        store
    }

    fn weight(store: &ParamStore<Cpu>) -> &Param<Cpu> {
        store.get("fc.weight").unwrap()
    }

    fn nonzeros(store: &ParamStore<Cpu>) -> Tensor<Cpu> {
        store.nonzeros("fc.weight", false).unwrap().unwrap().values
    }

    fn tensor(count: usize, scale: f32) -> Tensor<Cpu> {
        let values = (0..count).map(|i| (i as f32 - 7.3) * scale).collect();
        Tensor::from_vec(&Cpu::default(), values, [count]).unwrap()
    }

    fn bits(tensor: &Tensor<Cpu>) -> Vec<u32> {
        tensor.to_vec().iter().map(|value| value.to_bits()).collect()
    }

    fn at_nonzeros(whole: &Tensor<Cpu>) -> Vec<u32> {
        KEPT.iter().map(|i| bits(whole)[*i]).collect()
    }

    #[test]
    fn nonzeros_move_as_the_masked_dense_weight_does_whichever_gradient_there_is() {
        let whole = tensor(20, 0.1).reshape([4, 5]).unwrap();
        let alone = Tensor::from_vec(&Cpu::default(), KEPT.map(|i| whole.to_vec()[i]).to_vec(), [7]).unwrap();
        let adam = |decoupled| Update::Adam {
            lr: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            decoupled,
            t: 0,
        };
        let sgd = |momentum, nesterov| Update::Sgd { lr: 0.1, momentum, weight_decay: 1e-3, nesterov };
        for rule in [sgd(0.0, false), sgd(0.9, false), sgd(0.9, true), adam(false), adam(true)] {
            let (mut dense, mut by_whole, mut by_alone) =
                (store(Sparse::Off), store(Sparse::Always), store(Sparse::Always));
            for _ in 0..3 {
                for store in [&mut dense, &mut by_whole] {
                    let id = weight(store).value().id();
                    store.step(rule, None, |of| (of.id() == id).then_some(&whole)).unwrap();
                }
                let id = nonzeros(&by_alone).id();
                by_alone.step(rule, None, |of| (of.id() == id).then_some(&alone)).unwrap();
                for sparse in [&by_whole, &by_alone] {
                    assert_eq!(weight(&dense).value().to_vec(), weight(sparse).value().to_vec(), "{rule:?}");
                    assert_eq!(at_nonzeros(weight(&dense).value()), at_nonzeros(weight(sparse).value()), "{rule:?}");
                    assert_eq!(at_nonzeros(weight(sparse).value()), bits(&nonzeros(sparse)));
                    let states = [&dense, sparse].map(|store| weight(store).state().unwrap());
                    states[0].iter().zip(&states[1]).for_each(|(a, b)| assert_eq!(a.to_vec(), b.to_vec()));
                }
            }
        }
    }

    #[test]
    fn gradients_of_a_weight_and_of_its_nonzeros_add_up() {
        let mut store = store(Sparse::Always);
        let (whole, alone) = (tensor(20, 0.1).reshape([4, 5]).unwrap(), tensor(7, 1.0));
        let (of_whole, of_alone) = (weight(&store).value().id(), nonzeros(&store).id());
        let before = weight(&store).value().to_vec();
        let grad = |of: &Tensor<Cpu>| match of.id() {
            id if id == of_whole => Some(&whole),
            id if id == of_alone => Some(&alone),
            _ => None,
        };
        let mut expected = whole.to_vec();
        KEPT.iter().zip(alone.to_vec()).for_each(|(i, alone)| expected[*i] += alone);
        assert_eq!(weight(&store).gradient(grad).unwrap().unwrap().to_vec(), expected);
        let only = |of: &Tensor<Cpu>| grad(of).filter(|_| of.id() == of_alone);
        let spread = weight(&store).gradient(only).unwrap().unwrap().to_vec();
        assert!(spread.iter().enumerate().all(|(i, value)| KEPT.contains(&i) || *value == 0.0), "{spread:?}");
        store.step(Update::Sgd { lr: 1.0, momentum: 0.0, weight_decay: 0.0, nesterov: false }, None, grad).unwrap();
        for (i, after) in weight(&store).value().to_vec().into_iter().enumerate() {
            assert_eq!(after, if KEPT.contains(&i) { before[i] - expected[i] } else { 0.0 }, "{i}");
        }
    }

    #[test]
    fn an_update_leaves_the_nonzeros_and_their_pattern_alone_and_gives_arrays_to_whoever_asks() {
        let mut store = store(Sparse::Always);
        let (grad, rule) = (tensor(7, 1.0), Update::Sgd { lr: 1.0, momentum: 0.9, weight_decay: 0.0, nesterov: false });
        let arrays = |store: &ParamStore<Cpu>| {
            let p = weight(store);
            (p.value.whole.get().is_some(), p.mask().unwrap().arrays())
        };
        let keep: Vec<bool> = (0..20).map(|i| KEPT.contains(&i)).collect();
        for step in 0..2 {
            assert_eq!(arrays(&store), (step == 0, 2 * usize::from(step == 0)));
            let id = nonzeros(&store).id();
            store.step(rule, None, |of| (of.id() == id).then_some(&grad)).unwrap();
            assert_eq!(arrays(&store), (false, 0));
            assert!(weight(&store).state.tensors().iter().all(|state| state.count() == 7));
        }
        let copy = store.clone();
        assert_eq!(weight(&store).mask().unwrap().keep(), keep);
        let marks: Vec<f32> = keep.iter().map(|keep| f32::from(u8::from(*keep))).collect();
        let mask = weight(&store).mask().unwrap().tensor();
        assert_eq!((mask.to_vec(), mask.shape()), (marks, [4, 5].into()));
        assert_eq!(bits(weight(&store).value()), bits(weight(&copy).value()));
        assert_eq!((arrays(&store), arrays(&copy)), ((true, 2), (true, 0)));
        let id = nonzeros(&store).id();
        store.step(rule, None, |of| (of.id() == id).then_some(&grad)).unwrap();
        assert_eq!(arrays(&store), (false, 0), "what was asked for is let go of again");
    }

    #[test]
    fn nonzeros_are_one_tensor_until_other_values_are_set() {
        let mut store = store(Sparse::Always);
        let first = nonzeros(&store);
        assert_eq!(first.id(), nonzeros(&store).id());
        let snapshot = store.snapshot();
        let grad = tensor(7, 1.0);
        let rule = Update::Sgd { lr: 1.0, momentum: 0.0, weight_decay: 0.0, nesterov: false };
        store.step(rule, None, |of| (of.id() == first.id()).then_some(&grad)).unwrap();
        assert_eq!((nonzeros(&store).id(), bits(&nonzeros(&store)) == bits(&first)), (first.id(), false));
        store.rewind(&snapshot).unwrap();
        assert_eq!(bits(&nonzeros(&store)), bits(&first));
        // Another mask has other nonzeros.
        store.set_masks(vec![("fc.weight".into(), (0..20).map(|i| i < 3).collect())]).unwrap();
        assert_eq!(nonzeros(&store).to_vec(), weight(&store).value().to_vec()[..3]);
    }
}
