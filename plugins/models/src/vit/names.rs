//! What other libraries call the parameters of a vision transformer.

/// timm 1.0, whose blocks are called as ours.
const TIMM: &[[&str; 2]] =
    &[["patch_embed.proj.*", "patch.*"], ["cls_token", "class_token"], ["pos_embed", "position"]];

/// torchvision 0.29; its `class_token` is called as ours. The MLP had numbers until 0.12.
const TORCHVISION: &[[&str; 2]] = &[
    ["conv_proj.*", "patch.*"],
    ["encoder.pos_embedding", "position"],
    ["encoder.layers.encoder_layer_*.ln_1.*", "blocks.*.norm1.*"],
    ["encoder.layers.encoder_layer_*.self_attention.in_proj_*", "blocks.*.attn.qkv.*"],
    ["encoder.layers.encoder_layer_*.self_attention.out_proj.*", "blocks.*.attn.proj.*"],
    ["encoder.layers.encoder_layer_*.ln_2.*", "blocks.*.norm2.*"],
    ["encoder.layers.encoder_layer_*.mlp.0.*", "blocks.*.mlp.fc1.*"],
    ["encoder.layers.encoder_layer_*.mlp.3.*", "blocks.*.mlp.fc2.*"],
    ["encoder.layers.encoder_layer_*.mlp.linear_1.*", "blocks.*.mlp.fc1.*"],
    ["encoder.layers.encoder_layer_*.mlp.linear_2.*", "blocks.*.mlp.fc2.*"],
    ["encoder.ln.*", "norm.*"],
    ["heads.head.*", "head.*"],
];

/// transformers: its saved files, and from version 5 on the names of the live model.
const TRANSFORMERS: &[[&str; 2]] = &[
    ["embeddings.cls_token", "class_token"],
    ["embeddings.position_embeddings", "position"],
    ["embeddings.patch_embeddings.projection.*", "patch.*"],
    ["encoder.layer.*.layernorm_before.*", "blocks.*.norm1.*"],
    ["encoder.layer.*.attention.attention.query.*", "blocks.*.attn.qkv.* 1/3"],
    ["encoder.layer.*.attention.attention.key.*", "blocks.*.attn.qkv.* 2/3"],
    ["encoder.layer.*.attention.attention.value.*", "blocks.*.attn.qkv.* 3/3"],
    ["encoder.layer.*.attention.output.dense.*", "blocks.*.attn.proj.*"],
    ["encoder.layer.*.layernorm_after.*", "blocks.*.norm2.*"],
    ["encoder.layer.*.intermediate.dense.*", "blocks.*.mlp.fc1.*"],
    ["encoder.layer.*.output.dense.*", "blocks.*.mlp.fc2.*"],
    ["layernorm.*", "norm.*"],
    ["classifier.*", "head.*"],
    ["layers.*.layernorm_before.*", "blocks.*.norm1.*"],
    ["layers.*.attention.q_proj.*", "blocks.*.attn.qkv.* 1/3"],
    ["layers.*.attention.k_proj.*", "blocks.*.attn.qkv.* 2/3"],
    ["layers.*.attention.v_proj.*", "blocks.*.attn.qkv.* 3/3"],
    ["layers.*.attention.o_proj.*", "blocks.*.attn.proj.*"],
    ["layers.*.layernorm_after.*", "blocks.*.norm2.*"],
    ["layers.*.mlp.fc1.*", "blocks.*.mlp.fc1.*"],
    ["layers.*.mlp.fc2.*", "blocks.*.mlp.fc2.*"],
];

/// All of them. The classifiers of transformers hold the rest of the network under `vit.`.
pub fn known() -> Vec<(String, String)> {
    let all = [("", TIMM), ("", TORCHVISION), ("", TRANSFORMERS), ("vit.", TRANSFORMERS)];
    let pair = |before: &'static str| move |[from, to]: &[&str; 2]| (format!("{before}{from}"), (*to).to_owned());
    all.into_iter().flat_map(|(before, names)| names.iter().map(pair(before))).collect()
}
