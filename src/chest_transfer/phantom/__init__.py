"""Phantoms: simulated frontal chest radiographs of children and adults, healthy or with findings.

A phantom is a thorax of simple bodies whose thickness along a parallel beam has a closed form. They attenuate the beam
by the Beer-Lambert law, and a detector turns its intensity into gray levels. An image comes about in this order:

1. patient: age, sex and build, then a pose in front of the detector (`patients`);
2. anatomy: the patient's measures in that pose (`anatomy`), changed by the findings that move a dome or the heart
   (`findings`);
3. thorax: lungs and rib cage (`thorax`), mediastinum and heart (`mediastinum`), body, trachea and stomach (`body`) and
   pulmonary vessels (`vessels`), projected onto the image plane;
4. findings: consolidated or emptied lung, added tissue and calcium (`pathology`, `opacities`), by `infections`,
   `tuberculosis`, `parenchyma`, `pleura` and `focal_lesions`; `findings` is the table of all of them;
5. projection: what the beam crosses of soft tissue and bone (`ribs`, `skeleton`) and of objects on the patient
   (`devices`), summed up in `radiograph`;
6. detector: scatter, noise, blur, processing and tone curve of a scanner (`detector`), then letters and borders
   (`markings`).

`radiograph.radiograph` does all of this for one patient. `cohorts` says who is in which dataset, `archive` writes whole
archives in the layout of the public ones with the tables of `metadata_tables`, and `pretraining` simulates patients to
pretrain on. The others are built from `shapes` (image plane, bodies), `curves` (one-dimensional profiles) and `raster`
(noise, lines, blur).

Lengths are in centimeters; x runs from the midline to the patient's left, which is the right of the image, and z from
the apices of the lungs downward. Parameters that scale with the patient are in half widths of the rib cage. Parameters
without a source were chosen so that the images look like the training images of the public archives. Random numbers
come from numpy Generators that are passed on explicitly: equal seeds give equal bytes.
"""
