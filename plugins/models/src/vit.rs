//! Vision transformers (Dosovitskiy et al. 2021), pre-norm, with room for token compression.

mod names;

use secateur::prelude::*;

choices! {
    /// The token or tokens that the classifier reads.
    pub enum Pool {
        /// A class token.
        Class = "class",
        /// The mean of all tokens, weighted by how many each stands for.
        Mean = "mean",
    }
}

options! {
    /// Patch embedding `patch`, blocks `blocks.0`, `blocks.1`, ..., a last norm and the linear layer `head`.
    ///
    /// Unit groups per block: `blocks.N.heads`, `blocks.N.head_dim` (the same dimensions in every head, of queries,
    /// keys and values alike) and `blocks.N.mlp`. The compressor is asked before the encoder, and in each block between
    /// attention and MLP.
    pub struct Vit {
        /// Number of blocks.
        #[acts(always)]
        pub depth: usize = 4,
        /// Width of a token.
        #[acts(always)]
        pub dim: usize = 192,
        /// Attention heads; must divide `dim`.
        #[acts(|v| v.depth > 0, "depth above 0")]
        pub heads: usize = 3,
        /// Width of the MLP's hidden layer, in multiples of `dim`.
        #[acts(|v| v.depth > 0, "depth above 0")]
        pub mlp_ratio: f64 = 4.0,
        /// Side of a patch; must divide the image.
        #[acts(always)]
        pub patch: usize = 4,
        /// What the classifier reads: `class` or `mean`.
        #[acts(always)]
        pub pool: Pool = Pool::Class,
        /// Activation of the MLP: `gelu`, with tanh in it, or `gelu-exact`, with the error function, as timm, torchvision
        /// and transformers have it.
        #[acts(|v| v.depth > 0, "depth above 0")]
        pub activation: Act = Act::Gelu,
        /// Whether queries, keys and values have a bias.
        #[acts(|v| v.depth > 0, "depth above 0")]
        pub qkv_bias: bool = true,
        /// What normalisations add to variances: 1e-6 in timm and torchvision, 1e-12 in transformers.
        #[acts(always)]
        pub norm_eps: f64 = 1e-5,
        /// Dropout after attention and MLP, and on the embedded tokens.
        #[acts(always)]
        pub dropout: f64 = 0.0,
        /// Adds log(size) to the keys of merged tokens (proportional attention, Bolya et al. 2022).
        #[acts(|v| v.depth > 0, "depth above 0")]
        #[acts("compressor.name", |name| name != "none", "a compressor")]
        pub proportional_attention: bool = true,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("depth", self.depth, 0.0..=1024.0);
        checks.width("dim", self.dim);
        let divides = self.heads > 0 && self.dim.is_multiple_of(self.heads);
        checks.ensure("heads", divides, format!("must divide `dim`, which is {}", self.dim));
        let hidden = self.mlp_ratio.is_finite() && (1..=MOST_HIDDEN).contains(&self.hidden());
        checks.ensure("mlp_ratio", hidden, format!("must give the MLP between 1 and {MOST_HIDDEN} hidden units"));
        checks.range("patch", self.patch, 1.0..);
        let gelu = matches!(self.activation, Act::Gelu | Act::GeluExact);
        checks.ensure("activation", gelu, "must be gelu or gelu-exact");
        checks.range("norm_eps", self.norm_eps, 1e-30..=1.0);
        checks.range("dropout", self.dropout, 0.0..1.0);
    }
}

/// More than any MLP of a transformer has; a larger one would exhaust the memory before it is noticed.
const MOST_HIDDEN: usize = 1 << 24;

impl Vit {
    fn hidden(&self) -> usize {
        (self.mlp_ratio * self.dim as f64).round() as usize
    }

    fn tokens(&self, [_, height, width]: [usize; 3]) -> usize {
        height / self.patch * (width / self.patch)
    }

    fn check_image(&self, [_, height, width]: [usize; 3]) -> Result<()> {
        if height.is_multiple_of(self.patch) && width.is_multiple_of(self.patch) {
            return Ok(());
        }
        let allowed = format!("must divide the image, which is {height}x{width}");
        Err(OptionError::new("patch", self.patch, allowed).into())
    }

    fn block<B: Backend>(&self, cx: &mut Forward<'_, B>, i: usize, mut t: Tokens<B>) -> Result<Tokens<B>> {
        let name = |part: &str| format!("blocks.{i}.{part}");
        let (head_dim, dense) = (cx.units(&name("head_dim")), self.dim / self.heads);
        let (batch, tokens) = (t.x.shape()[0], t.x.shape()[1]);
        let shape =
            Heads { batch, tokens, heads: cx.units(&name("heads")), head_dim, scale: 1.0 / (dense as f32).sqrt() };
        let x = t.x.reshape([batch * tokens, self.dim])?;
        let n = cx.layer_norm(&name("norm1"), &x)?;
        let qkv = cx.linear(&name("attn.qkv"), &n, Act::None)?;
        let sizes = t.sizes.clone().filter(|_| self.proportional_attention);
        let a = cx.attention(shape, &qkv, sizes.as_ref())?;
        let x = self.residual(cx, &name("attn.proj"), &a, &x)?;
        t.x = x.reshape([batch, tokens, self.dim])?;
        let stage = Stage::Block { index: i, of: self.depth };
        t.metric = cx.needs_metric(stage).then(|| keys(&qkv, &shape)).transpose()?;
        if let Some(metric) = &t.metric {
            cx.tape().write_down(Operation::MeanKeys { heads: shape.heads, head_dim }, &[&qkv], &[metric]);
        }
        let mut t = cx.compress(t, stage)?;
        let tokens = t.x.shape()[1];
        let x = t.x.reshape([batch * tokens, self.dim])?;
        let n = cx.layer_norm(&name("norm2"), &x)?;
        let h = cx.linear(&name("mlp.fc1"), &n, self.activation)?;
        let x = self.residual(cx, &name("mlp.fc2"), &h, &x)?;
        t.x = x.reshape([batch, tokens, self.dim])?;
        Ok(t)
    }

    fn residual<B: Backend>(
        &self,
        cx: &mut Forward<'_, B>,
        name: &str,
        h: &Tensor<B>,
        x: &Tensor<B>,
    ) -> Result<Tensor<B>> {
        if self.dropout == 0.0 {
            return cx.linear_residual(name, h, Act::None, Some(x));
        }
        let y = cx.linear(name, h, Act::None)?;
        let y = cx.dropout(name, &y, self.dropout)?;
        cx.tape().add(&y, x)
    }
}

/// Keys averaged over the heads, `[batch, tokens, head_dim]`: what tokens are compared by inside a block. No gradient.
fn keys<B: Backend>(qkv: &Tensor<B>, s: &Heads) -> Result<Tensor<B>> {
    let (rows, width) = (s.batch * s.tokens, s.heads * s.head_dim);
    let all = qkv.detach();
    let k = all.select(1, &(width..2 * width).collect::<Vec<_>>())?;
    k.reshape([rows, s.heads, s.head_dim])?.reduce(Reduce::Mean, 1)?.reshape([s.batch, s.tokens, s.head_dim])
}

impl<B: Backend> Model<B> for Vit {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let image = input.image()?;
        self.check_image(image)?;
        let dim = Width::from(self.dim);
        let mut layout = LayoutBuilder::new(sizes);
        layout.linear("patch", &(image[0] * self.patch * self.patch).into(), &dim, true);
        let small = Init::TruncatedNormal { std: 0.02 };
        let class = usize::from(self.pool == Pool::Class);
        if class == 1 {
            layout.param(ParamSpec::plain("class_token".into(), [self.dim].into(), small), &[(&dim, Role::Producer)]);
        }
        let positions = Width::from(self.tokens(image) + class);
        let spec = ParamSpec::plain("position".into(), [positions.count(), self.dim].into(), small);
        layout.param(spec, &[(&positions, Role::Producer), (&dim, Role::Producer)]);
        for i in 0..self.depth {
            let name = |part: &str| format!("blocks.{i}.{part}");
            let heads = layout.units(&name("heads"), self.heads);
            let dims = layout.units_read_inside(&name("head_dim"), self.dim / self.heads);
            let hidden = layout.units(&name("mlp"), self.hidden());
            let inner = heads.times(&dims);
            layout.norm(&name("norm1"), &dim);
            layout.linear(&name("attn.qkv"), &dim, &inner.clone().repeated(3), self.qkv_bias);
            layout.linear(&name("attn.proj"), &inner, &dim, true);
            layout.norm(&name("norm2"), &dim);
            layout.linear(&name("mlp.fc1"), &dim, &hidden, true);
            layout.linear(&name("mlp.fc2"), &hidden, &dim, true);
        }
        layout.norm("norm", &dim);
        layout.linear("head", &dim, &input.classes.into(), true);
        layout.output("head");
        layout.build()
    }

    fn known_names(&self) -> Vec<(String, String)> {
        names::known()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        cx.set_norms(Norms { eps: self.norm_eps, ..Norms::default() });
        let n = batch.len();
        let patches = B::patches(&batch.input, self.patch)?;
        cx.tape().write_down(Operation::Patches { side: self.patch }, &[&batch.input], &[&patches]);
        let x = cx.linear("patch", &patches, Act::None)?;
        let x = x.reshape([n, x.shape()[0] / n.max(1), self.dim])?;
        let class = if self.pool == Pool::Class { Some(cx.param("class_token")?) } else { None };
        let position = cx.param("position")?;
        let protected = usize::from(class.is_some());
        let content = |x: &Tensor<B>| B::embed(&x.detach(), class.as_ref().map(Tensor::detach).as_ref(), None);
        let metric = cx.needs_metric(Stage::BeforeEncoder).then(|| content(&x)).transpose()?;
        if let Some(metric) = &metric {
            let operation = Operation::Embed { class: class.is_some(), position: false };
            cx.tape().write_down(operation, &std::iter::once(&x).chain(&class).collect::<Vec<_>>(), &[metric]);
        }
        let x = cx.tape().embed(&x, class, Some(position))?;
        let x = cx.dropout("embedding", &x, self.dropout)?;
        let tokens = Tokens { x, metric, sizes: None, source: None, protected };
        let mut tokens = cx.compress(tokens, Stage::BeforeEncoder)?;
        for i in 0..self.depth {
            tokens = self.block(cx, i, tokens)?;
        }
        let (b, t) = (tokens.x.shape()[0], tokens.x.shape()[1]);
        let x = cx.layer_norm("norm", &tokens.x.reshape([b * t, self.dim])?)?.reshape([b, t, self.dim])?;
        let x = match self.pool {
            Pool::Class => cx.tape().take_token(&x, 0)?,
            Pool::Mean => cx.tape().mean_tokens(&x, tokens.sizes.as_ref())?,
        };
        Ok(Output::Logits(cx.linear("head", &x, Act::None)?))
    }
}

register!(Model, "vit", Vit, "A small vision transformer, with stages for token compression.");
