//! A program's parameters as a plugin sees them.

use super::abi::{self, Str, View, slice};
use super::view::{Lender, shared, shared_optional};
use crate::backend::{Backend, Cpu};
use crate::error::{Error, Result};
use crate::network::layout::Layout;
use crate::network::params::{Masking, ParamStore, Parts};
use std::collections::BTreeMap;

/// The table of all parameters, lent out.
pub(super) struct Loan {
    list: Vec<abi::Param>,
    alive: Vec<abi::Alive>,
    dynamic: u32,
    // What the tables above point to.
    _states: Vec<Vec<View>>,
    _bytes: Vec<Vec<u8>>,
    _lender: Lender,
}

impl Loan {
    pub fn new<B: Backend>(store: &ParamStore<B>) -> Result<Self> {
        let mut lender = Lender::default();
        let (mut list, mut states, mut alive, mut bytes) = (vec![], vec![], vec![], vec![]);
        for p in store.iter() {
            let state: Vec<View> = p.state()?.iter().map(|s| lender.tensor(s)).collect();
            list.push(abi::Param {
                name: Str::of(&p.spec().name),
                value: lender.tensor(p.value()),
                mask: lender.optional(p.mask().map(|m| m.tensor())),
                kept: p.kept(),
                state: state.as_ptr(),
                states: state.len(),
                updates: p.updates(),
                dense_count: p.dense_count(),
            });
            states.push(state);
        }
        for (group, units) in store.alive_groups() {
            let units: Vec<u8> = units.iter().map(|&a| u8::from(a)).collect();
            alive.push(abi::Alive { group: Str::of(group), alive: units.as_ptr(), units: units.len() });
            bytes.push(units);
        }
        let dynamic = match store.masking() {
            Masking::Held => 0,
            Masking::Dynamic => 1,
            Masking::Returning => 2,
        };
        Ok(Self { list, alive, dynamic, _states: states, _bytes: bytes, _lender: lender })
    }

    /// The table; valid while the loan lives, and the store is not changed.
    pub fn table(&self) -> abi::Params {
        abi::Params {
            list: self.list.as_ptr(),
            count: self.list.len(),
            dynamic: self.dynamic,
            alive: self.alive.as_ptr(),
            alive_count: self.alive.len(),
        }
    }
}

/// A plugin's picture of the parameters; it has values only while something looks at it, because values that are held
/// cannot be updated in place by the program.
pub(super) struct Mirror {
    pub device: Cpu,
    store: Option<ParamStore<Cpu>>,
}

impl Mirror {
    pub fn new() -> Self {
        Self { device: Cpu::default(), store: None }
    }

    /// Takes the network's layout.
    pub fn set_layout(&mut self, json: &str) -> Result<()> {
        self.store = Some(ParamStore::hollow(&self.device, layout(json)?)?);
        Ok(())
    }

    /// The network's layout, where one came.
    pub fn layout(&self) -> Option<&Layout> {
        self.store.as_ref().map(ParamStore::layout)
    }

    /// Shows `f` the parameters.
    ///
    /// # Safety
    /// The table must be the ABI's, and live for the call.
    pub unsafe fn with<R>(&mut self, params: &abi::Params, f: impl FnOnce(&ParamStore<Cpu>) -> Result<R>) -> Result<R> {
        let store = self.store.as_mut().ok_or_else(|| Error::Other("parameters came before their layout".into()))?;
        // SAFETY: promised by the caller.
        let (list, alive) = unsafe { (slice(params.list, params.count), slice(params.alive, params.alive_count)) };
        // SAFETY: promised by the caller.
        let parts = list.iter().map(|p| unsafe { parts(p, &self.device) }).collect::<Result<_>>()?;
        // SAFETY: promised by the caller.
        let units =
            |a: &abi::Alive| unsafe { (a.group.text(), slice(a.alive, a.units).iter().map(|&u| u != 0).collect()) };
        let masking = match params.dynamic {
            0 => Masking::Held,
            2 => Masking::Returning,
            _ => Masking::Dynamic,
        };
        store.show(parts, masking, alive.iter().map(units).collect::<BTreeMap<_, _>>())?;
        let result = f(store);
        store.hide()?;
        result
    }
}

/// # Safety
/// As for [`Mirror::with`].
unsafe fn parts(p: &abi::Param, device: &Cpu) -> Result<Parts<Cpu>> {
    // SAFETY: promised by the caller.
    unsafe {
        Ok(Parts {
            value: shared(&p.value, device)?,
            mask: shared_optional(&p.mask, device)?.map(|m| (m, p.kept)),
            state: slice(p.state, p.states).iter().map(|s| shared(s, device)).collect::<Result<_>>()?,
            updates: p.updates,
            dense_count: p.dense_count,
        })
    }
}

/// A layout as text.
pub(super) fn layout_text(layout: &Layout) -> Result<String> {
    serde_json::to_string(layout).map_err(|e| Error::Other(format!("the layout cannot be written: {e}")))
}

/// A layout from text.
pub(super) fn layout(json: &str) -> Result<Layout> {
    serde_json::from_str(json).map_err(|e| Error::Other(format!("the layout cannot be read: {e}")))
}
