// What every screen is made of: links that hold the whole state, data that follows them, numbers, bars, pagers.
'use strict';
(function (m) {
  const { h } = preact, { useState, useEffect, useRef } = preactHooks;
  const html = m.html = htm.bind(h);

  // Links --------------------------------------------------------------------------------------------------------------
  m.read = function (hash) {
    const [path, query] = (hash || '').replace(/^#\/?/, '').split('?');
    const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
    return { run: parts[0] === 'run' ? parts[1] : null, screen: parts[0] === 'run' ? parts[2] || 'overview' : 'runs', params: Object.fromEntries(new URLSearchParams(query || '')) };
  };
  m.link = function (run, screen, params) {
    const given = Object.entries(params || {}).filter(([, v]) => v != null && v !== '');
    const query = new URLSearchParams(given).toString().replace(/%2C/g, ',').replace(/%3A/g, ':');
    return '#/run/' + encodeURIComponent(run) + (screen === 'overview' ? '' : '/' + screen) + (query ? '?' + query : '');
  };
  m.here = () => m.read(location.hash);
  m.with = function (changes) { const { run, screen, params } = m.here(); return m.link(run, screen, { ...params, ...changes }); };
  m.go = function (changes, replace) {
    const to = m.with(changes);
    if (replace) { history.replaceState(null, '', to); dispatchEvent(new HashChangeEvent('hashchange')); } else location.hash = to;
  };

  // Data that follows a link; while the next comes, the last stays on the screen. `every`: ask again after so many seconds.
  m.useData = function (path, params, every) {
    const key = path + JSON.stringify(params || {});
    const [state, set] = useState({ key: null });
    useEffect(() => {
      let left = false, timer;
      const ask = () => m.get(path, params).then(
        data => { if (!left) { set({ key, data }); again(data); } },
        error => { if (!left) set({ key, error: error.message === 'Failed to fetch' ? 'The viewer was stopped. Start it again: midway view' : error.message }); });
      const again = data => { const wait = every && every(data); if (wait && m.live) timer = setTimeout(ask, wait * 1000); };
      ask();
      return () => { left = true; clearTimeout(timer); };
    }, [key]);
    return { ...state, waiting: state.key !== key };
  };
  m.Data = function ({ of, children }) {
    if (of.error && !of.waiting) return html`<p class="error" role="alert" data-ready="1">${of.error}</p>`;
    if (!of.data) return html`<p class="wait">Reading …</p>`;
    return html`<div class=${of.waiting ? 'stale' : ''} data-ready=${of.waiting ? null : '1'}>${children(of.data)}</div>`;
  };

  // Numbers ------------------------------------------------------------------------------------------------------------
  m.count = n => n == null ? '–' : Math.round(n).toLocaleString('en-US');
  m.percent = x => x == null ? '–' : (100 * x).toFixed(1) + ' %';
  m.points = x => x == null ? '–' : (x > 0 ? '+' : x < 0 ? '−' : '') + (100 * Math.abs(x)).toFixed(0);
  m.number = (x, digits = 2) => x == null ? '–' : (x < 0 ? '−' : '') + Math.abs(x).toFixed(digits);
  m.duration = function (s) {
    if (s == null) return '–';
    s = Math.round(s);
    if (s >= 3600) return `${Math.floor(s / 3600)}h${String(Math.floor(s % 3600 / 60)).padStart(2, '0')}m`;
    return s >= 60 ? `${Math.floor(s / 60)}m${String(s % 60).padStart(2, '0')}s` : s + 's';
  };
  m.short = n => n == null ? '–' : n >= 1e9 ? (n / 1e9).toFixed(1) + 'G' : n >= 1e6 ? (n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? (n / 1e3).toFixed(0) + 'k' : m.count(n);
  m.PHASES = { base: 'base model', 'before-rl': 'before RL', 'after-rl': 'after RL' };
  m.PHASE = { base: 'base', 'before-rl': 'before', 'after-rl': 'after' };
  m.JUDGED = { correct: ['✓', 'right'], wrong: ['✗', 'wrong'], unjudged: ['?', 'unjudged'] };

  // Small parts --------------------------------------------------------------------------------------------------------
  m.Select = ({ label, value, options, onpick }) => html`<label class="pick"><span>${label}</span>
    <select aria-label=${label} value=${value} onChange=${e => onpick(e.target.value)}>
      ${options.map(([v, text]) => html`<option key=${v} value=${v} selected=${v === value}>${text}</option>`)}</select></label>`;

  m.Search = function ({ value, label }) {
    const box = useRef(), timer = useRef();
    useEffect(() => { if (box.current && document.activeElement !== box.current) box.current.value = value || ''; }, [value]);
    const send = () => { clearTimeout(timer.current); if ((m.here().params.q || '') !== box.current.value) m.go({ q: box.current.value, page: null }, true); };
    return html`<label class="pick search"><span>${label || 'search'}</span><input ref=${box} type="search" aria-label=${label || 'search'}
      defaultValue=${value || ''} onInput=${() => { clearTimeout(timer.current); timer.current = setTimeout(send, 350); }}
      onKeyDown=${e => { if (e.key === 'Enter') send(); }}/></label>`;
  };

  m.Chips = ({ filters, on, name = 'filter' }) => html`<div class="chips" role="group" aria-label="filters">${filters.map(f => {
    const active = on.includes(f.name), rest = active ? on.filter(x => x !== f.name) : [...on, f.name];
    return html`<a key=${f.name} class=${'chip' + (active ? ' on' : '')} data-filter=${f.name} title=${f.says || ''} aria-pressed=${active}
      href=${m.with({ [name]: rest.join(','), page: null })}>${f.title} <b>${m.count(f.count)}</b></a>`;
  })}</div>`;

  m.Pager = ({ data }) => html`<nav class="pager" aria-label="pages">
    ${data.page > 1 ? html`<a rel="prev" href=${m.with({ page: data.page - 1 })}>‹ previous</a>` : html`<span class="off">‹ previous</span>`}
    <span>page ${data.page} of ${m.count(data.pages)}, ${m.count(data.total)} in all</span>
    ${data.page < data.pages ? html`<a rel="next" href=${m.with({ page: data.page + 1 })}>next ›</a>` : html`<span class="off">next ›</span>`}</nav>`;

  m.Sort = ({ data, sort, children, down }) => {
    const active = data.sort === sort, order = active ? (data.order === 'down' ? 'up' : 'down') : down ? 'down' : 'up';
    return html`<a class=${'sort' + (active ? ' on' : '')} data-sort=${sort} href=${m.with({ sort, order, page: null })}>${children}${active ? data.order === 'down' ? ' ↓' : ' ↑' : ''}</a>`;
  };

  m.Heat = ({ right, of, title, href }) => {
    const share = of ? right / of : null;
    const style = share == null ? {} : { '--share': Math.round(100 * share) + '%' };
    const text = of ? `${right}/${of}` : '–';
    return href ? html`<a class=${'heat' + (of ? '' : ' none')} style=${style} title=${title} href=${href}>${text}</a>`
      : html`<span class=${'heat' + (of ? '' : ' none')} style=${style} title=${title}>${text}</span>`;
  };

  m.Bar = ({ share, title }) => html`<span class="bar" title=${title || m.percent(share)}><i style=${{ width: Math.max(0, Math.min(1, share || 0)) * 100 + '%' }}></i></span>`;

  m.State = ({ state }) => html`<span class=${'state ' + state}>${state}</span>`;

  m.useKeys = function (keys) {
    const now = useRef(keys);
    now.current = keys;
    useEffect(() => {
      const press = e => {
        if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName)) return;
        const act = now.current[e.key];
        if (act) { e.preventDefault(); act(); }
      };
      addEventListener('keydown', press);
      return () => removeEventListener('keydown', press);
    }, []);
  };
})(window.midway);
