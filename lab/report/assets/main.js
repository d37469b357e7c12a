// Start: the parts of every page, then the timeline if the page has one.

// Links of the page's own text: to a part of the run, an operation, a section.
function setUpLinks() {
  const toTimeline = () => byId('timeline').scrollIntoView();
  document.addEventListener('click', (event) => {
    const target = event.target.closest('[data-range], [data-op], [data-at], a[data-section]');
    if (!target) return;
    const {range, op, key, at} = target.dataset;
    if (target.dataset.section !== undefined) {
      event.preventDefault();
      document.querySelector(target.getAttribute('href')).scrollIntoView();
      return;
    }
    if (!D) return;
    event.preventDefault();
    if (at) {
      setView(Number(at) - 250e3, Number(at) + 250e3);
    } else if (range) {
      const [from, to] = range.split('-').map(Number);
      if (key) setFilter({key});
      setView(from * 1e6, to * 1e6);
    } else {
      showOp(Number(op));
    }
    writeLink();
    toTimeline();
  });
}

function setUpLogs() {
  const input = byId('log-filter');
  if (!input) return;
  const onlyRange = byId('log-range'), blocks = [...document.querySelectorAll('details.log')];
  const apply = () => {
    const text = input.value.toLowerCase();
    let shown = 0;
    for (const block of blocks) {
      let inBlock = 0;
      for (const line of block.querySelectorAll('li')) {
        const us = line.dataset.us, outside = onlyRange.checked && (us === undefined || us < view.a || us > view.b);
        line.hidden = outside || (text !== '' && !line.textContent.toLowerCase().includes(text));
        if (!line.hidden) inBlock++;
      }
      block.querySelector('summary small').textContent = inBlock + ' lines';
      if (text && inBlock) block.open = true;
      shown += inBlock;
    }
    byId('log-count').textContent = text || onlyRange.checked ? shown + ' lines match' : '';
  };
  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(apply, 200); };
  input.addEventListener('input', soon);
  onlyRange.addEventListener('change', apply);
  viewListeners.push(() => { if (onlyRange.checked) soon(); });
}

async function start() {
  setUpTheme();
  setUpCopyButtons();
  setUpLinks();
  setUpRuns();
  const data = byId('data');
  if (!data) {
    document.documentElement.dataset.ready = Math.round(performance.now());
    return;
  }
  setUpLogs();
  if (!byId('time')) {
    document.documentElement.dataset.ready = Math.round(performance.now());
    return;
  }
  try {
    D = unpack(await inflate(data.textContent.trim()));
  } catch (error) {
    const note = byId('broken');
    note.hidden = false;
    note.textContent = 'The timeline could not be drawn (' + error.message + '). A browser from 2023 or later is needed; everything else on this page is complete.';
    console.error(error);
    return;
  }
  D.faults.forEach((f) => faultColour(f.name));
  packFaults();
  setLogScale(D);
  byId('time').hidden = false;
  setUpLanes();
  readColours();
  setUpFilter();
  setUpPin();
  setUpPointer();
  setUpKeyboard();
  setUpPrint();
  viewListeners.push(writeLink);
  view.b = D.endUs;
  readLink();
  if (!S) applyFilter(); // no link, or one to a section
  sizeLanes();
  themeListeners.push(() => { readColours(); redraw(); });
  addEventListener('hashchange', readLink);
  new ResizeObserver(redraw).observe(byId('lanes'));
  byId('link').addEventListener('click', () => copyText(location.href.split('#')[0] + '#' + linkText(), byId('link')));
  requestAnimationFrame(() => { document.documentElement.dataset.ready = Math.round(performance.now()); }); // behind the first drawing
}

start();
