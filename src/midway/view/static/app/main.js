// The page: which screen a link names, and the bar that leads to the others.
'use strict';
(function (m) {
  const { html } = m, { useState, useEffect } = preactHooks;
  const BAR = [['overview', 'Overview'], ['questions', 'Questions × arms'], ['solutions', 'Solutions'], ['rollouts', 'Rollouts'], ['verifier', 'Verifier'], ['heuristics', 'Heuristics']];
  const OF = { question: 'questions', solution: 'solutions' };

  function App() {
    const [at, set] = useState(m.here());
    useEffect(() => {
      let last = location.hash.split('?')[0];
      const move = () => { const path = location.hash.split('?')[0]; if (path !== last) scrollTo(0, 0); last = path; set(m.here()); };
      addEventListener('hashchange', move);
      return () => removeEventListener('hashchange', move);
    }, []);
    const Screen = m.screens[at.screen];
    document.title = (at.run ? at.run + ' · ' : '') + (at.screen === 'runs' ? 'midway view' : at.screen);
    return html`<header class="top"><a class="home" href="#/">midway</a>${at.run ? html`<nav aria-label="screens"><a class="run-name" href=${m.link(at.run, 'overview')}>${at.run}</a>
      ${BAR.map(([name, title]) => html`<a key=${name} class=${'tab' + ((OF[at.screen] || at.screen) === name ? ' on' : '')} data-screen=${name} href=${m.link(at.run, name)}>${title}</a>`)}</nav>` : null}
      ${m.live ? null : html`<span class="dim">static copy</span>`}</header>
      ${Screen ? html`<${Screen} key=${at.screen + at.run} run=${at.run} params=${at.params}/>` : html`<p class="error">There is no screen “${at.screen}”. <a href="#/">All runs</a></p>`}`;
  }
  preact.render(html`<${App}/>`, document.getElementById('page'));
})(window.midway);
