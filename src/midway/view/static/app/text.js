// Texts that a model wrote. They are put on the page as text nodes, never as HTML; what cannot be seen is made visible.
'use strict';
(function (m) {
  const { html } = m, { useState } = preactHooks;

  // Control codes (NUL, ESC ...), marks that turn the direction of writing, characters without width, lone surrogates.
  const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000d-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udc7f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  const SHORT = { 0: 'NUL', 7: 'BEL', 8: 'BS', 13: 'CR', 27: 'ESC', 127: 'DEL' };

  m.visible = function (text) {
    const out = [];
    let at = 0;
    for (const found of text.matchAll(HIDDEN)) {
      if (found.index > at) out.push(text.slice(at, found.index));
      const code = found[0].codePointAt(0), name = 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
      out.push(html`<span class="hidden-char" title=${name}>${SHORT[code] || name}</span>`);
      at = found.index + found[0].length;
    }
    if (at < text.length) out.push(text.slice(at));
    return out;
  };
  m.Plain = ({ text, max }) => html`<bdi>${m.visible(max && text.length > max ? text.slice(0, max) + ' …' : text || '')}</bdi>`;

  // Ways have a colour each, in the order of their names.
  const COLOURS = 10;
  m.wayClass = (way, titles) => way ? 'way way-' + (Object.keys(titles || {}).indexOf(way) % COLOURS + COLOURS) % COLOURS : 'way way-none';

  const LONG = 2400;
  m.Text = function ({ pieces, titles }) {
    const [whole, show] = useState(false), length = pieces.reduce((n, [t]) => n + t.length, 0), long = length > LONG;
    return html`<div class="text-box"><div class=${'text' + (long && !whole ? ' folded' : '')} dir="auto">${pieces.map(([text, marks]) => {
      const shown = m.visible(text), kinds = [];
      if ('way' in marks) kinds.push(m.wayClass(marks.way, titles), marks.right ? '' : 'step-wrong');
      if (marks.answer) kinds.push('answer');
      if (!kinds.length) return html`<span>${shown}</span>`;
      const says = ['way' in marks ? `${(titles || {})[marks.way] || marks.way || 'no known way'}${marks.right ? '' : ': this step is not right'}` : '', marks.answer ? 'read as the answer' : ''].filter(Boolean).join('; ');
      return html`<mark class=${kinds.join(' ')} title=${says}>${shown}</mark>`;
    })}</div>${long ? html`<button class="fold" onClick=${() => show(!whole)}>${whole ? 'fold' : `whole text (${m.count(length)} characters)`}</button>` : null}</div>`;
  };

  m.Ways = ({ ways, titles }) => (ways || []).length ? html`<span class="ways">${ways.map(w => html`<span class=${m.wayClass(w, titles)}>${(titles || {})[w] || w}</span>`)}</span>` : null;

  m.Judged = ({ row }) => {
    const [sign, word] = m.JUDGED[row.judgement] || ['…', 'not judged yet'];
    return html`<span class=${'judged ' + (row.judgement || 'none')}>${sign} ${word}</span>${row.reason ? html` <span class="reason">${row.reason}</span>` : null}`;
  };
  m.ReadAs = ({ row }) => row.extracted == null ? html`<span class="dim">no answer was read</span>`
    : html`<span class="dim">read as</span> <code class="answer"><${m.Plain} text=${row.extracted} max=${200}/></code>`;

  // What is different between two texts, word by word.
  m.DiffView = function ({ from, to }) {
    const parts = Diff.diffWordsWithSpace(from, to, { timeout: 800 });
    if (!parts) return html`<p class="dim">These two are too long to be compared word by word.</p>`;
    const same = parts.filter(p => !p.added && !p.removed).reduce((n, p) => n + p.value.length, 0);
    if (from === to) return html`<div class="diff"><p class="dim">The two are the same to the letter: 100.0 % of the characters are the same.</p><div class="text" dir="auto">${m.visible(to)}</div></div>`;
    return html`<div class="diff"><p class="dim">Struck out: only in the solution that ranks above. Underlined: only in this one. ${m.percent(same / Math.max(1, Math.max(from.length, to.length)))} of the characters are the same.</p>
      <div class="text" dir="auto">${parts.map(p => p.added ? html`<ins>${m.visible(p.value)}</ins>` : p.removed ? html`<del>${m.visible(p.value)}</del>` : html`<span>${m.visible(p.value)}</span>`)}</div></div>`;
  };

  m.Messages = ({ messages }) => html`<div class="messages">${messages.map(x => html`<div class="message">${x.role ? html`<b>${x.role}</b>` : null}<div class="text" dir="auto">${m.visible(x.content)}</div></div>`)}</div>`;

  m.Question = ({ q }) => html`<div class="question">
    <p class="text" dir="auto">${q.text == null ? html`<i class="dim">The run does not keep the text of this question.</i>` : m.visible(q.text)}</p>
    ${(q.choices || []).length ? html`<ol class="choices" type="A">${q.choices.map((c, i) => html`<li class=${i === q.right_choice ? 'gold' : ''}><${m.Plain} text=${c}/></li>`)}</ol>` : null}
    <p>${q.gold != null ? html`<span class="dim">gold</span> <code class="gold"><${m.Plain} text=${typeof q.gold === 'string' ? q.gold : JSON.stringify(q.gold)} max=${2000}/></code> ` : null}
    ${Object.entries(q.meta || {}).slice(0, 8).map(([k, v]) => html`<span class="tag">${k} ${String(v)}</span> `)}
    ${q.name ? html`<span class="dim">${q.name}</span> ` : null}<span class="dim id">${q.id}</span></p>
    ${q.solution ? html`<details><summary>reference solution</summary><p class="text" dir="auto">${m.visible(q.solution)}</p></details>` : null}</div>`;
})(window.midway);
