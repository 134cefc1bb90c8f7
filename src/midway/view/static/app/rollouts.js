// What RL sampled: curves over its steps, the groups of one step, one question over training.
'use strict';
(function (m) {
  const { html } = m, { useEffect, useRef } = preactHooks;

  const LINES = [['reward', 'mean reward', '#2a6fdb', x => x], ['share', 'right of judged', '#1a8a4a', x => x], ['dead', 'groups of equal reward', '#a0522d', x => x], ['cut', 'cut off', '#8a4fbf', x => x]];

  const Chart = function ({ steps, step, onpick }) {
    const box = useRef();
    useEffect(() => {
      if (!box.current || !steps.step.length) return;
      const share = steps.right.map((r, i) => steps.judged[i] ? r / steps.judged[i] : null), columns = { ...steps, share };
      const ink = getComputedStyle(document.body).color, axis = { stroke: ink, grid: { stroke: 'rgba(128,128,128,.2)' }, ticks: { stroke: 'rgba(128,128,128,.3)' } };
      const chart = new uPlot({
        width: box.current.clientWidth, height: 190, scales: { x: { time: false } }, legend: { live: true },
        axes: [{ ...axis, label: 'step', labelSize: 16, size: 28, labelFont: '12px system-ui' }, { ...axis, size: 44 }, { ...axis, side: 1, scale: 'tokens', size: 50, grid: { show: false } }],
        series: [{ label: 'step' }, ...LINES.map(([key, label, stroke]) => ({ label, stroke, width: 1.5, show: key !== 'cut' || steps.cut.some(x => x > 0), value: (u, v) => v == null ? '–' : v.toFixed(2) })), { label: 'mean tokens', scale: 'tokens', stroke: '#888', dash: [4, 3], value: (u, v) => v == null ? '–' : v.toFixed(0) }],
        hooks: { draw: [u => { const x = u.valToPos(step, 'x', true); u.ctx.save(); u.ctx.strokeStyle = ink; u.ctx.globalAlpha = .5; u.ctx.beginPath(); u.ctx.moveTo(x, u.bbox.top); u.ctx.lineTo(x, u.bbox.top + u.bbox.height); u.ctx.stroke(); u.ctx.restore(); }] },
      }, [steps.step, ...LINES.map(([key]) => columns[key]), steps.tokens], box.current);
      chart.over.addEventListener('click', () => { const i = chart.cursor.idx; if (i != null) onpick(steps.step[i]); });
      const fit = () => chart.setSize({ width: box.current.clientWidth, height: 190 });
      addEventListener('resize', fit);
      return () => { removeEventListener('resize', fit); chart.destroy(); };
    }, [steps.step.length, step]);
    return html`<div class="chart" ref=${box}></div>`;
  };

  const Rollout = ({ r, titles, most }) => html`<article class=${'sample rollout ' + (r.judgement || '')}><header>
      <span class="reward" title="reward">${m.number(r.reward)}</span>
      <span class=${'advantage ' + (r.advantage > 0 ? 'up' : r.advantage < 0 ? 'down' : '')} title="advantage">${r.advantage > 0 ? '+' : ''}${m.number(r.advantage)}<i style=${{ width: Math.round(40 * Math.min(1, Math.abs(r.advantage || 0) / most)) + 'px' }}></i></span>
      <${m.Judged} row=${r}/> <${m.ReadAs} row=${r}/></header>
    <${m.Text} pieces=${r.pieces} titles=${titles}/>
    <footer class="dim">${m.count(r.tokens)} tokens${r.cut_off ? html` <span class="tag bad">cut off</span>` : null}${(r.rewards || []).length > 1 ? r.rewards.map(x => html` <span class="tag">${x.name} ${m.number(x.value)}</span>`) : null}</footer></article>`;

  m.screens.rollouts = function ({ run, params }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/rollouts`, params), d = of.data;
    const move = by => { if (!d || !d.steps.step.length) return; const steps = d.copied || d.steps.step, at = steps.indexOf(d.step) + by; if (steps[at] != null) m.go({ step: steps[at], page: null }, true); };
    m.useKeys({ ArrowRight: () => move(1), ArrowLeft: () => move(-1), n: () => move(1), p: () => move(-1) });
    return html`<${m.Data} of=${of}>${d => {
      const steps = d.copied || d.steps.step, at = d.steps.step.indexOf(d.step);
      const most = Math.max(1e-9, ...(d.groups || d.times || []).flatMap(g => g.rollouts.map(r => Math.abs(r.advantage || 0))));
      return html`<main class="wide"><h1>Rollouts</h1><div class="controls">
        <${m.Select} label="arm" value=${d.arm} options=${d.arms.map(a => [a.name, a.title])} onpick=${v => m.go({ arm: v, seed: null, page: null })}/>
        <${m.Select} label="seed" value=${String(d.seed)} options=${d.arms.find(a => a.name === d.arm).seeds.map(s => [String(s), String(s)])} onpick=${v => m.go({ seed: v, page: null })}/></div>
        <${Chart} steps=${d.steps} step=${d.step} onpick=${s => m.go({ step: s, id: null, page: null })}/>
        ${d.id ? html`<nav class="pager"><a href=${m.with({ id: null, page: null })}>‹ all questions of step ${d.step}</a></nav><${m.Question} q=${d.question}/>
          ${d.times.length ? d.times.map(t => { const judged = t.rollouts.filter(r => r.judgement === 'correct' || r.judgement === 'wrong'), right = judged.filter(r => r.judgement === 'correct').length;
            return html`<section class="time" key=${t.step} data-step=${t.step}><h2>step ${t.step} <span class="dim">${right} right of ${judged.length} judged</span> <${m.Bar} share=${judged.length ? right / judged.length : 0}/></h2><div class="cards">${t.rollouts.map(r => html`<${Rollout} key=${r.id} r=${r} titles=${d.titles} most=${most}/>`)}</div></section>`; }) : html`<p class="none">RL never asked this question.</p>`}`
        : html`<div class="slider"><label>step <input type="range" aria-label="step" min="0" max=${steps.length - 1} value=${steps.indexOf(d.step)} onChange=${e => m.go({ step: steps[+e.target.value], page: null }, true)}/></label> <b data-step=${d.step}>${d.step}</b> of ${steps[steps.length - 1]}
          ${at >= 0 ? html`<span class="dim"> ${m.count(d.steps.rollouts[at])} rollouts of ${m.count(d.steps.questions[at])} questions; mean reward <b class="mean-reward">${m.number(d.steps.reward[at], 3)}</b>; <b class="right">${d.steps.right[at]}</b> right of <b class="judged-count">${d.steps.judged[at]}</b> judged; mean length <b>${m.number(d.steps.tokens[at], 1)}</b> tokens; ${m.percent(d.steps.dead[at])} of the groups have one reward for all</span>` : null}</div>
          ${d.groups.map(g => html`<section class="group" key=${g.group}><h2>group ${g.group} <span class="dim">mean reward ${m.number(g.mean)}, spread ${m.number(g.spread)}${g.spread === 0 ? ': nothing is learnt from it' : ''}</span></h2>
            <${m.Question} q=${g.question}/><p><a class="over-time" href=${m.with({ id: g.question.id, page: null })}>this question over training</a></p>
            <div class="cards">${g.rollouts.map(r => html`<${Rollout} key=${r.id} r=${r} titles=${d.titles} most=${most}/>`)}</div></section>`)}`}
        <${m.Pager} data=${d}/></main>`;
    }}</${m.Data}>`;
  };
})(window.midway);
