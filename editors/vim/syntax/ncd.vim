" Vim syntax file
" Language: neural circuit diagrams (NCD)
" Generated from grammar/ncd.lark and the standard library: `make grammars`.

if exists("b:current_syntax")
  finish
endif

syntax iskeyword @,48-57,_,192-255,'

syntax keyword ncdDeclares axis block config const diagram learn op size
syntax keyword ncdStatement as assert return use
syntax keyword ncdLogic and not or
syntax keyword ncdConstant inf pi
syntax keyword ncdLibrary abs affine alibi_attention alibi_slopes all any argmax argmin argsort avg_pool1d
      \ avg_pool2d batch_norm bce_with_logits cast causal_attention
      \ causal_grouped_attention causal_multi_head ceil clamp concat conv1d conv2d
      \ conv_transpose1d conv_transpose2d cos cosh crop crop1d crop2d cross_entropy
      \ cross_multi_head cummax cumprod cumsum dense_attention depthwise_conv1d
      \ depthwise_conv2d detach dropout einsum elu embedding equivariant erf exp expm1
      \ floor frozen geglu gelu gelu_tanh group_norm grouped_attention grouped_conv1d
      \ grouped_conv2d hardsigmoid hardswish huber id instance_norm invariant kaiming kl
      \ layer_norm leaky_relu linear linear_attention linear_conv1d linear_conv2d log
      \ log10 log1p log2 log_sigmoid log_softmax logaddexp logit logsumexp mae
      \ masked_attention max max_pool1d max_pool2d mean min mish mse multi_head nll norm
      \ normal one_hot ones pad pad1d pad2d prod real relu relu6 rms_norm rotary
      \ rotary_pairs round route rsqrt running scale selu sigmoid sign silu sin sinh
      \ sinusoidal sliding_attention soft_cross_entropy softmax softplus sort
      \ spherical_attention sqrt sum swiglu tan tanh top_k uniform upsample1d upsample2d
      \ variance where xavier zeros

syntax match ncdNumber /\<\d\+\%(\.\d\+\)\?\%([eE][+-]\?\d\+\)\?\>/
syntax match ncdOperator /->\|>>\|[=!<>]=\|+=\|\*=\|\<\%(max\|min\)=\|[-+*\/%^=<>~|]/
syntax match ncdStructure /:\s*\zs\<\%(set\|ordered\|cyclic\)\>/
syntax match ncdType /\%(:\|->\|(\|,\)\s*\zs\<\%(N\|B\|C\|f64\|f32\|bf16\|f16\|f8e4m3\|f8e5m2\)\>\ze\s*[[(]/

syntax match ncdAxis /\<\k\+\>/ contained
syntax region ncdBrackets start=/\[/ end=/\]/ transparent
      \ contains=ncdAxis,ncdBrackets,ncdIndexed,ncdNumber,ncdOperator,ncdLibrary,ncdConstant,
      \ncdLogic,ncdDeclares,ncdStatement,ncdComment
syntax match ncdIndexed /\<\k\+\>\ze\s*\[/ contained contains=ncdLibrary

syntax match ncdDeclared /\%(\<\%(diagram\|op\)\s\+\)\@<=\k\+/
syntax match ncdNamed /\%(\<\%(config\|const\)\s\+\)\@<=\k\+/
syntax match ncdAxis /\%(\<axis\s\+\)\@<=\k\+/

syntax region ncdString start=/"/ skip=/\\./ end=/"\|$/
syntax match ncdComment /#.*$/ contains=@Spell
syntax match ncdDocumentation /^\s*##.*$/ contains=@Spell

highlight default link ncdDeclares Keyword
highlight default link ncdStatement Statement
highlight default link ncdLogic Operator
highlight default link ncdConstant Constant
highlight default link ncdLibrary Function
highlight default link ncdNumber Number
highlight default link ncdOperator Operator
highlight default link ncdStructure StorageClass
highlight default link ncdType Type
highlight default link ncdAxis Identifier
highlight default link ncdDeclared Function
highlight default link ncdNamed Constant
highlight default link ncdString String
highlight default link ncdComment Comment
highlight default link ncdDocumentation SpecialComment

let b:current_syntax = "ncd"
