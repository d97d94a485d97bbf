//! A loaded compressor as a [`Compressor`].

use super::super::abi;
use super::super::view::{Lender, Receiver, copied};
use super::Loaded;
use super::object::{Object, absent};
use crate::autograd::Tape;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::compressor::{Compressor, Stage, Tokens};
use crate::options::Table;
use std::ffi::c_void;
use std::sync::Arc;

/// A compressor that lives in a plugin.
pub(in super::super) struct Adapter {
    object: Arc<Object<abi::CompressorTable>>,
}

impl Adapter {
    pub fn new(loaded: &Loaded, options: &Table) -> Result<Self> {
        Ok(Self { object: Arc::new(Object::new(loaded, options)?) })
    }
}

/// A question about a stage.
type Asks = unsafe extern "C" fn(*mut c_void, abi::Stage, *mut u32, abi::Report) -> abi::Status;

impl Adapter {
    /// The other side's answer; yes where it has none, or fails: it then says so where it compresses.
    fn asked(&self, function: Option<Asks>, at: Stage) -> bool {
        let Some(function) = function else { return true };
        let mut found = 1;
        // SAFETY: the object and its function belong together; `found` lives for the call.
        let asked = self.object.call(|this, report| unsafe { function(this, abi::Stage::of(at), &mut found, report) });
        asked.is_err() || found != 0
    }
}

/// The compressor that the other side lends for a call, if any.
///
/// # Safety
/// `this` must be null, or an object of `functions`, which lives as long as the process; `this` as long as the result.
pub(in super::super) unsafe fn far_compressor(
    this: *mut c_void,
    functions: *const abi::CompressorTable,
) -> Option<Adapter> {
    // SAFETY: promised by the caller.
    let functions = unsafe { functions.as_ref() }.filter(|_| !this.is_null())?;
    // SAFETY: promised by the caller.
    let object = unsafe { Object::borrowed(this, functions, "of the program") };
    Some(Adapter { object: Arc::new(object) })
}

/// What a forward pass left in the plugin; freed there if no backward pass comes.
struct Left {
    left: *mut c_void,
    object: Arc<Object<abi::CompressorTable>>,
}

impl Left {
    /// Hands it over to the backward pass. A method, so that a closure captures the whole guard and not only the
    /// pointer.
    fn take(&mut self) -> *mut c_void {
        std::mem::replace(&mut self.left, std::ptr::null_mut())
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if let (Some(forget), false) = (self.object.functions.forget, self.left.is_null()) {
            // SAFETY: `left` comes from this object's `compress`, and is given back once.
            unsafe { forget(self.left) }
        }
    }
}

/// Takes the compressed tokens.
struct Taken<B: Backend> {
    device: B,
    tokens: Option<Result<Tokens<B>>>,
}

unsafe extern "C" fn put<B: Backend>(user: *mut c_void, tokens: *const abi::Tokens) {
    // SAFETY: `user` is the `Taken` of the call under way, the tokens are the ABI's.
    unsafe {
        let (taken, t) = (&mut *user.cast::<Taken<B>>(), &*tokens);
        let read = |v: &abi::View| copied(v, &taken.device);
        let optional = |v: &abi::View| if v.is_none() { Ok(None) } else { read(v).map(Some) };
        let all = || {
            Ok(Tokens {
                x: read(&t.x)?,
                metric: optional(&t.metric)?,
                sizes: optional(&t.sizes)?,
                source: (t.has_source != 0).then(|| abi::slice(t.source, t.source_count).to_vec()),
                protected: t.protected_tokens,
            })
        };
        taken.tokens = Some(all());
    }
}

impl<B: Backend> Compressor<B> for Adapter {
    fn is_active(&self, at: Stage) -> bool {
        self.asked(self.object.functions.is_active, at)
    }

    fn needs_metric(&self, at: Stage) -> bool {
        self.asked(self.object.functions.needs_metric, at)
    }

    fn compress(&self, tape: &mut Tape<B>, tokens: Tokens<B>, at: Stage) -> Result<Tokens<B>> {
        let object = &self.object;
        let compress = object.functions.compress.ok_or_else(|| absent("compress"))?;
        let mut inputs = vec![("x", 1, tokens.x.clone())];
        inputs.extend(tokens.metric.clone().map(|t| ("metric", 2, t)));
        inputs.extend(tokens.sizes.clone().map(|t| ("sizes", 4, t)));
        inputs.retain(|(.., t)| tape.wants(&[t]));
        let mut lender = Lender::default();
        let source = tokens.source.as_deref().unwrap_or_default();
        let given = abi::Tokens {
            x: lender.tensor(&tokens.x),
            metric: lender.optional(tokens.metric.as_ref()),
            sizes: lender.optional(tokens.sizes.as_ref()),
            source: source.as_ptr(),
            source_count: source.len(),
            has_source: u32::from(tokens.source.is_some()),
            protected_tokens: tokens.protected,
            wanted: inputs.iter().map(|(_, bit, _)| bit).sum(),
        };
        let mut taken = Taken { device: tokens.x.device().clone(), tokens: None };
        let out = abi::TokensSink { user: (&raw mut taken).cast(), put: put::<B> };
        let mut left = Left { left: std::ptr::null_mut(), object: object.clone() };
        object.call(|this, report| {
            // SAFETY: the object and its function belong together; what is lent, and `taken`, live for the call.
            unsafe { compress(this, &given, abi::Stage::of(at), out, &mut left.left, report) }
        })?;
        let mut found = taken.tokens.ok_or_else(|| object.error("it gave no tokens"))??;
        if inputs.is_empty() || left.left.is_null() {
            return Ok(found);
        }
        let backward = object.functions.backward.ok_or_else(|| object.error("it has no function `backward`"))?;
        found.x = tape.record(found.x, move |gradient, grads| {
            let (mut lender, mut receiver) = (Lender::default(), Receiver::new());
            let (lent, sink) = (lender.tensor(&gradient), receiver.sink());
            let object = left.object.clone();
            // SAFETY: `left` comes from this object's `compress`; what is lent, and the receiver, live for the call.
            object.call(|_, report| unsafe { backward(left.take(), lent, sink, report) })?;
            for item in receiver.finish()? {
                let input = inputs.iter().find(|(name, ..)| *name == item.name);
                let unknown = || Error::Other(format!("`{}` is no tokens whose gradient was asked for", item.name));
                let input = &input.ok_or_else(unknown)?.2;
                grads.add(input, item.tensor(input.device())?)?;
            }
            Ok(())
        });
        Ok(found)
    }
}
