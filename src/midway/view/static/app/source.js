// Where the data comes from: the server, or, in a static copy, files beside the page. One function for the screens: midway.get(path, params).
'use strict';
window.midway = {};

(function (m) {
  const bundle = window.midwayBundle;
  m.live = !bundle;

  // A static copy: `data/index.js` lists the keys; each value is a file that calls midwayData.
  const held = {}, waiting = {};
  window.midwayData = ({ key, value }) => { held[key] = value; };

  function load(key) {
    if (held[key]) return Promise.resolve(held[key]);
    if (waiting[key]) return waiting[key];
    const number = bundle.keys.indexOf(key);
    if (number < 0) return Promise.reject(new Error('This is not in the static copy; it is in the run.'));
    waiting[key] = new Promise((done, failed) => {
      const script = document.createElement('script');
      script.src = 'data/' + String(number).padStart(5, '0') + '.js';
      script.onload = () => done(held[key]);
      script.onerror = () => failed(new Error(script.src + ' is missing from the static copy.'));
      document.head.append(script);
    });
    return waiting[key];
  }

  const sorted = (rows, key, down, name) => [...rows].sort((a, b) => {
    const x = a[key], y = b[key];
    if (x == null || y == null) return x == null && y == null ? 0 : x == null ? 1 : -1;
    const order = x < y ? -1 : x > y ? 1 : 0;
    return (down ? -order : order) || String(a[name]).localeCompare(String(b[name]));
  });
  const found = (row, words) => ['text', 'name', 'id', 'answer'].some(k => (row[k] || '').toLowerCase().includes(words.toLowerCase()));
  const cut = (data, rows, params) => {
    const size = +(params.size || 50), pages = Math.max(1, Math.ceil(rows.length / size)), page = Math.min(Math.max(1, +(params.page || 1)), pages);
    return { ...data, rows: rows.slice((page - 1) * size, page * size), page, pages, size, total: rows.length };
  };

  function questionRows(data, params) {
    let rows = data.rows;
    const filters = (params.filter || '').split(',').filter(Boolean);
    for (const f of filters) rows = rows.filter(r => r.flags.includes(f));
    if (params.way) {
      const key = filters.includes('way-gone') ? 'ways_gone' : filters.includes('one-way') ? 'ways_right' : 'ways';
      rows = rows.filter(r => r[key].includes(params.way));
    }
    for (const k of ['subject', 'level']) if (params[k]) rows = rows.filter(r => String(r[k]) === params[k]);
    if (params.q) rows = rows.filter(r => found(r, params.q));
    const sort = params.sort || 'diff';
    return sorted(rows, sort === 'tokens' ? 'mean_tokens' : sort, params.order === 'down', 'name');
  }

  // How a static copy answers what the server would.
  const copy = {
    async overview(at) { return load(at('overview')); },
    async questions(at, p) {
      const o = await load(at('overview')), b = p.benchmark || o.benchmarks[0], arm = p.arm || o.treatment || o.arms[0].name;
      const data = await load(at(`questions/${b}/${arm}`));
      const counts = Object.fromEntries(data.filters.map(f => [f.name, data.rows.filter(r => r.flags.includes(f.name)).length]));
      return { ...cut(data, questionRows(data, p), p), all: data.rows.length, sort: p.sort || 'diff', order: p.order || 'up',
        filters: data.filters.map(f => ({ ...f, count: counts[f.name] })) };
    },
    async question(at, p) {
      const o = await load(at('overview')), b = p.benchmark || o.benchmarks[0], arm = p.arm || o.treatment || o.arms[0].name;
      const list = questionRows(await load(at(`questions/${b}/${arm}`)), p).map(r => r.id);
      const id = p.id || list[0], place = list.indexOf(id), data = await load(at(`question/${b}/${id}`));
      const spec = data.arms.find(a => a.name === arm), keys = Object.keys(data.every);
      const seed = spec.seeds.find(s => keys.includes(`${arm}.${spec.after}.${s}`)) || 0;
      const side = (key, phase) => data.every[key || `${arm}.${phase}.${seed}`] || { key, samples: [], total: 0, missing: true };
      return { ...data, left: side(p.left, spec.before), right: side(p.right, spec.after), place: place < 0 ? null : place, of: list.length,
        previous: place > 0 ? list[place - 1] : null, next: place >= 0 && place + 1 < list.length ? list[place + 1] : null };
    },
    async solutions(at, p) {
      const o = await load(at('overview')), arm = p.arm || (o.has.selections.includes(o.treatment) ? o.treatment : o.has.selections[0]);
      const spec = o.arms.find(a => a.name === arm), data = await load(at(`solutions/${arm}/${spec.seeds[0]}`));
      let rows = data.rows;
      const f = (p.filter || '').split(',');
      if (f.includes('none-kept')) rows = rows.filter(r => !r.kept);
      if (f.includes('never')) rows = rows.filter(r => !r.right);
      if (f.includes('copies')) rows = rows.filter(r => r.copies);
      if (f.includes('only')) rows = rows.filter(r => r.solved_by.length === 1);
      if (p.heuristic) rows = rows.filter(r => r.solved_by.includes(p.heuristic));
      if (p.q) rows = rows.filter(r => found(r, p.q));
      const sort = p.sort || 'kept', order = p.order || (sort === 'name' ? 'up' : 'down');
      rows = sorted(rows.map(r => ({ ...r, ways: r.solved_by.length })), sort, order === 'down', 'name');
      return { ...cut(data, rows, p), sort, order };
    },
    async solution(at, p) {
      const o = await load(at('overview')), arm = p.arm || (o.has.selections.includes(o.treatment) ? o.treatment : o.has.selections[0]);
      return load(at(`solution/${arm}/${p.seed || o.arms.find(a => a.name === arm).seeds[0]}/${p.id}`));
    },
    async rollouts(at, p) {
      const o = await load(at('overview')), arm = p.arm || (o.has.rollouts.includes(o.treatment) ? o.treatment : o.has.rollouts[0]);
      if (!arm) throw new Error('This run keeps no rollouts.');
      if (p.id) throw new Error('One question over training is not in the static copy; it is in the run.');
      const start = at(`rollouts/${arm}/`);
      const steps = bundle.keys.filter(k => k.startsWith(start)).map(k => k.slice(start.length).split('/')).filter(k => !p.seed || k[0] === p.seed);
      if (!steps.length) throw new Error('These rollouts are not in the static copy.');
      const near = steps.reduce((a, b) => Math.abs(b[1] - (p.step || 0)) < Math.abs(a[1] - (p.step || 0)) ? b : a);
      return load(start + near.join('/'));
    },
    async verifier(at, p) {
      const o = await load(at('overview')), of = p.of || (o.benchmarks.length ? 'benchmark:' + o.benchmarks[0] : 'pool:' + o.has.pools[0]);
      const data = await load(at(`verifier/${of}/${p.show || 'unjudged'}`));
      const rows = p.q ? data.rows.filter(r => r.pieces.map(x => x[0]).join('').includes(p.q)) : data.rows;
      return { ...data, rows };
    },
    async bug(at, p) {
      const data = await load(at(`verifier/${p.of}/${p.show}`));
      return data.rows.find(r => r.id === p.id).bug;
    },
    async heuristics(at, p) {
      const o = await load(at('overview'));
      const data = await load(at(`heuristics/${p.benchmark || o.benchmarks[0]}`));
      return { ...data, picked: p.heuristic || '', examples: (data.every_example || {})[p.heuristic] || [] };
    },
  };

  m.get = async function (path, params) {
    if (m.live) {
      const query = new URLSearchParams(Object.entries(params || {}).filter(([, v]) => v != null && v !== ''));
      const answer = await fetch('/api/' + path + (query.size ? '?' + query : ''));
      const data = await answer.json();
      if (!answer.ok || data.nothing) throw new Error(data.nothing || data.error);
      return data;
    }
    if (path === 'runs') return load('runs');
    const [, run, screen] = path.match(/^run\/(.+)\/([a-z]+)$/);
    return copy[screen](key => `run/${decodeURIComponent(run)}/${key}`, params || {});
  };
})(window.midway);
