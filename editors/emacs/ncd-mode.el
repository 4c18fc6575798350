;;; ncd-mode.el --- Major mode for neural circuit diagrams  -*- lexical-binding: t; -*-

;; Generated from grammar/ncd.lark and the standard library: `make grammars'.
;; Package-Requires: ((emacs "27.1"))
;; Keywords: languages
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Colours .ncd files, indents them, checks them with Flymake by `ncdc check', formats them by
;; `ncdc fmt' (C-c C-f), and tells Eglot of `ncdc lsp'.

;;; Code:

(require 'compile)
(require 'flymake)

(defgroup ncd nil
  "Neural circuit diagrams."
  :group 'languages)

(defcustom ncd-command "ncdc"
  "The compiler to run."
  :type 'string)

(defcustom ncd-indent 2
  "How many columns a bracket indents by."
  :type 'integer
  :safe #'integerp)

(defconst ncd--declaring
  '("axis" "block" "config" "const" "diagram" "learn" "op" "size")
  "Keywords that declare something, or a part of it.")

(defconst ncd--statements
  '("as" "assert" "return" "use"
    "and" "not" "or")
  "All other keywords.")

(defconst ncd--library
  '("abs" "affine" "alibi_attention" "alibi_slopes" "all" "any" "argmax" "argmin"
    "argsort" "avg_pool1d" "avg_pool2d" "batch_norm" "bce_with_logits" "cast"
    "causal_attention" "causal_grouped_attention" "causal_multi_head" "ceil" "clamp"
    "concat" "conv1d" "conv2d" "conv_transpose1d" "conv_transpose2d" "cos" "cosh"
    "crop" "crop1d" "crop2d" "cross_entropy" "cross_multi_head" "cummax" "cumprod"
    "cumsum" "dense_attention" "depthwise_conv1d" "depthwise_conv2d" "detach"
    "dropout" "einsum" "elu" "embedding" "equivariant" "erf" "exp" "expm1" "floor"
    "frozen" "geglu" "gelu" "gelu_tanh" "group_norm" "grouped_attention"
    "grouped_conv1d" "grouped_conv2d" "hardsigmoid" "hardswish" "huber" "id"
    "instance_norm" "invariant" "kaiming" "kl" "layer_norm" "leaky_relu" "linear"
    "linear_attention" "linear_conv1d" "linear_conv2d" "log" "log10" "log1p" "log2"
    "log_sigmoid" "log_softmax" "logaddexp" "logit" "logsumexp" "mae"
    "masked_attention" "max" "max_pool1d" "max_pool2d" "mean" "min" "mish" "mse"
    "multi_head" "nll" "norm" "normal" "one_hot" "ones" "pad" "pad1d" "pad2d" "prod"
    "real" "relu" "relu6" "rms_norm" "rotary" "rotary_pairs" "round" "route" "rsqrt"
    "running" "scale" "selu" "sigmoid" "sign" "silu" "sin" "sinh" "sinusoidal"
    "sliding_attention" "soft_cross_entropy" "softmax" "softplus" "sort"
    "spherical_attention" "sqrt" "sum" "swiglu" "tan" "tanh" "top_k" "uniform"
    "upsample1d" "upsample2d" "variance" "where" "xavier" "zeros")
  "Names of the standard library and of the compiler's own functions.")

(defconst ncd--types
  '("N" "B" "C" "f64" "f32" "bf16" "f16" "f8e4m3" "f8e5m2")
  "Kinds and formats of arrays.")

(defconst ncd--constants
  '("inf" "pi"
    "set" "ordered" "cyclic")
  "Numbers with a name, and the structures of an axis.")

(defvar ncd-mode-syntax-table
  (let ((table (make-syntax-table)))
    (modify-syntax-entry ?# "<" table)
    (modify-syntax-entry ?\n ">" table)
    (modify-syntax-entry ?\" "\"" table)
    (modify-syntax-entry ?_ "w" table)
    (modify-syntax-entry ?' "w" table)
    (dolist (operator '(?+ ?- ?* ?/ ?% ?^ ?= ?< ?> ?| ?~ ?! ?.))
      (modify-syntax-entry operator "." table))
    table)
  "Syntax of programs: a prime is part of a name.")

(defvar ncd-font-lock-keywords
  (list
   '("^[ \t]*\\(##.*\\)$" 1 font-lock-doc-face t)
   '("\\_<\\(?:diagram\\|op\\)[ \t]+\\(\\w+\\)" 1 font-lock-function-name-face)
   '("\\_<\\(?:config\\|const\\)[ \t]+\\(\\w+\\)" 1 font-lock-constant-face)
   '("\\_<axis[ \t]+\\(\\w+\\)" 1 font-lock-variable-name-face)
   (cons (concat (regexp-opt ncd--types 'words) "[ \t]*[[(]") '(1 font-lock-type-face))
   (cons (regexp-opt ncd--declaring 'words) 'font-lock-keyword-face)
   (cons (regexp-opt ncd--statements 'words) 'font-lock-keyword-face)
   (cons (regexp-opt ncd--constants 'words) 'font-lock-constant-face)
   (cons (regexp-opt ncd--library 'words) 'font-lock-builtin-face)
   '(ncd--next-axis 0 font-lock-variable-name-face))
  "What is coloured, and how.")

(defun ncd--next-axis (limit)
  "Find the next plain name in square brackets before LIMIT."
  (let (found)
    (while (and (not found) (re-search-forward "\\<[[:alpha:]_]\\w*\\>" limit t))
      (let ((open (save-excursion
                    (save-match-data (nth 1 (syntax-ppss (match-beginning 0)))))))
        (setq found (and open
                         (eq (char-after open) ?\[)
                         (not (looking-at-p "[ \t]*[[(]"))))))
    found))

(defun ncd-indent-line ()
  "Indent the line by the brackets that are open where it starts."
  (interactive)
  (let* ((depth (save-excursion
                  (back-to-indentation)
                  (- (car (syntax-ppss)) (if (looking-at-p "[])}]") 1 0))))
         (column (* ncd-indent (max 0 depth))))
    (if (<= (current-column) (current-indentation))
        (indent-line-to column)
      (save-excursion (indent-line-to column)))))

(defun ncd-format-buffer ()
  "Format the buffer by `ncdc fmt'.  With syntax errors it stays as it is."
  (interactive)
  (let ((output (generate-new-buffer " *ncdc fmt*"))
        (source (current-buffer)))
    (unwind-protect
        (if (zerop (call-process-region nil nil ncd-command nil (list output nil) nil "fmt" "-"))
            (replace-buffer-contents output)
          (user-error "The file has syntax errors"))
      (set-buffer source)
      (kill-buffer output))))

(defconst ncd--finding
  (concat "^\\(.+?\\):\\([0-9]+\\):\\([0-9]+\\): "
          "\\(?:\\(warning\\)\\|error\\)\\[\\(NCD[0-9]+\\)\\] \\(.*\\)$")
  "A line of `ncdc check --format concise'.")

(add-to-list 'compilation-error-regexp-alist-alist
             (list 'ncdc ncd--finding 1 2 3 '(4)))
(add-to-list 'compilation-error-regexp-alist 'ncdc)

(defvar-local ncd--process nil
  "The check that runs for this buffer.")

(defun ncd-flymake (report &rest _)
  "Check the buffer as it is, and hand what is found to REPORT."
  (when (process-live-p ncd--process)
    (kill-process ncd--process))
  (let* ((source (current-buffer))
         (folder (expand-file-name default-directory)))
    (setq ncd--process
          (make-process
           :name "ncdc" :noquery t :connection-type 'pipe
           :buffer (generate-new-buffer " *ncdc*")
           :command (list ncd-command "check" "--format" "concise" "-I" folder "-")
           :sentinel
           (lambda (process _event)
             (when (memq (process-status process) '(exit signal))
               (unwind-protect
                   (when (and (buffer-live-p source)
                              (eq process (buffer-local-value 'ncd--process source)))
                     (funcall report (ncd--diagnostics source (process-buffer process))))
                 (kill-buffer (process-buffer process)))))))
    (process-send-region ncd--process (point-min) (point-max))
    (process-send-eof ncd--process)))

(defun ncd--diagnostics (source output)
  "What OUTPUT of a check says about the buffer SOURCE, for Flymake."
  (let (found)
    (with-current-buffer output
      (goto-char (point-min))
      (while (re-search-forward ncd--finding nil t)
        (when (string= (match-string 1) "<stdin>")
          (let ((line (string-to-number (match-string 2)))
                (column (string-to-number (match-string 3)))
                (kind (if (match-string 4) :warning :error))
                (text (format "%s: %s" (match-string 5) (match-string 6))))
            (pcase-let ((`(,start . ,end) (flymake-diag-region source line column)))
              (push (flymake-make-diagnostic source start end kind text) found))))))
    (nreverse found)))

(defvar ncd-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "C-c C-f") #'ncd-format-buffer)
    map)
  "Keys of programs.")

;;;###autoload
(define-derived-mode ncd-mode prog-mode "NCD"
  "Major mode for neural circuit diagrams."
  (setq-local comment-start "# ")
  (setq-local comment-start-skip "#+[ \t]*")
  (setq-local indent-tabs-mode nil)
  (setq-local fill-column 100)
  (setq-local indent-line-function #'ncd-indent-line)
  (setq-local electric-indent-chars (append "])}" electric-indent-chars))
  (setq-local font-lock-defaults '(ncd-font-lock-keywords))
  (setq-local compile-command
              (concat ncd-command " check --format concise "
                      (if buffer-file-name (shell-quote-argument buffer-file-name) "-")))
  (add-hook 'flymake-diagnostic-functions #'ncd-flymake nil t))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.ncd\\'" . ncd-mode))

(defvar eglot-server-programs)
(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs (cons 'ncd-mode (list ncd-command "lsp"))))

(provide 'ncd-mode)
;;; ncd-mode.el ends here
